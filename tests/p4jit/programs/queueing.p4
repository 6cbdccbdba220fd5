/* SPDX-License-Identifier: Apache-2.0
 *
 * The packet says where it goes: port, priority, and what is copied. Egress writes down what the queue did.
 */
#include <core.p4>
#include <v1model.p4>

header order_t {
    bit<8> port;
    bit<8> priority;
    bit<8> op;         // 0 nothing, 1 clone at ingress, 2 clone at egress, 3 recirculate for ever
    bit<8> session;
}

header mark_t {
    bit<8>  instance_type;
    bit<8>  port;
    bit<16> enq_qdepth;
    bit<16> deq_qdepth;
    bit<32> enq_timestamp;
    bit<32> deq_timedelta;
    bit<32> ingress_timestamp;
    bit<32> egress_timestamp;
}

struct headers_t {
    mark_t  mark;
    order_t order;
}

struct metadata_t {
    @field_list(1)
    bit<1> kept;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.order); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = (bit<9>)hdr.order.port;
        sm.priority = (bit<3>)hdr.order.priority;
        if (hdr.order.op == 1) {
            clone_preserving_field_list(CloneType.I2E, (bit<32>)hdr.order.session, 1);
        }
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.order.op == 2 && sm.instance_type == 0) {
            clone_preserving_field_list(CloneType.E2E, (bit<32>)hdr.order.session, 1);
        }
        if (hdr.order.op == 3) {
            recirculate_preserving_field_list(1);
        } else {
            hdr.mark.setValid();
            hdr.mark.instance_type = (bit<8>)sm.instance_type;
            hdr.mark.port = (bit<8>)sm.egress_port;
            hdr.mark.enq_qdepth = (bit<16>)sm.enq_qdepth;
            hdr.mark.deq_qdepth = (bit<16>)sm.deq_qdepth;
            hdr.mark.enq_timestamp = sm.enq_timestamp;
            hdr.mark.deq_timedelta = sm.deq_timedelta;
            hdr.mark.ingress_timestamp = (bit<32>)sm.ingress_global_timestamp;
            hdr.mark.egress_timestamp = (bit<32>)sm.egress_global_timestamp;
        }
    }
}

#include "include/v1switch.p4"
