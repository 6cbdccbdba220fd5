/* SPDX-License-Identifier: Apache-2.0
 *
 * Every field of standard_metadata as ingress and as egress see it. Times are wild in the tests, but egress
 * must not come before ingress.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> priority;
    bit<8> op;
}

header in_mark_t {
    bit<7>  pad0;
    bit<9>  ingress_port;
    bit<7>  pad1;
    bit<9>  egress_spec;
    bit<7>  pad2;
    bit<9>  egress_port;
    bit<32> instance_type;
    bit<32> packet_length;
    bit<16> mcast_grp;
    bit<16> egress_rid;
    bit<7>  pad3;
    bit<1>  checksum_error;
    bit<48> ingress_global_timestamp;
}

header out_mark_t {
    bit<7>  pad0;
    bit<9>  ingress_port;
    bit<7>  pad1;
    bit<9>  egress_spec;
    bit<7>  pad2;
    bit<9>  egress_port;
    bit<32> instance_type;
    bit<32> packet_length;
    bit<16> egress_rid;
    bit<5>  pad3;
    bit<3>  priority;
    bit<32> enq_timestamp;
    bit<13> pad4;
    bit<19> enq_qdepth;
    bit<32> deq_timedelta;
    bit<13> pad5;
    bit<19> deq_qdepth;
    bit<48> egress_global_timestamp;
    bit<7>  pad6;
    bit<1>  in_order;
}

struct headers_t {
    in_mark_t  at_ingress;
    out_mark_t at_egress;
    key_t      key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        bit<9> spec = sm.egress_spec;
        bit<32> length = sm.packet_length;
        sm.egress_spec = 0x102;
        sm.priority = (bit<3>)hdr.key.priority;
        hdr.at_ingress.setValid();
        hdr.at_ingress.pad0 = 0;
        hdr.at_ingress.ingress_port = sm.ingress_port;
        hdr.at_ingress.pad1 = 0;
        hdr.at_ingress.egress_spec = spec;
        hdr.at_ingress.pad2 = 0;
        hdr.at_ingress.egress_port = sm.egress_port;
        hdr.at_ingress.instance_type = sm.instance_type;
        hdr.at_ingress.packet_length = length;
        hdr.at_ingress.mcast_grp = sm.mcast_grp;
        hdr.at_ingress.egress_rid = sm.egress_rid;
        hdr.at_ingress.pad3 = 0;
        hdr.at_ingress.checksum_error = sm.checksum_error;
        hdr.at_ingress.ingress_global_timestamp = sm.ingress_global_timestamp;
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        bit<32> length = sm.packet_length;
        hdr.at_egress.setValid();
        hdr.at_egress.pad0 = 0;
        hdr.at_egress.ingress_port = sm.ingress_port;
        hdr.at_egress.pad1 = 0;
        hdr.at_egress.egress_spec = sm.egress_spec;
        hdr.at_egress.pad2 = 0;
        hdr.at_egress.egress_port = sm.egress_port;
        hdr.at_egress.instance_type = sm.instance_type;
        hdr.at_egress.packet_length = length;
        hdr.at_egress.egress_rid = sm.egress_rid;
        hdr.at_egress.pad3 = 0;
        hdr.at_egress.priority = sm.priority;
        hdr.at_egress.enq_timestamp = sm.enq_timestamp;
        hdr.at_egress.pad4 = 0;
        hdr.at_egress.enq_qdepth = sm.enq_qdepth;
        hdr.at_egress.deq_timedelta = sm.deq_timedelta;
        hdr.at_egress.pad5 = 0;
        hdr.at_egress.deq_qdepth = sm.deq_qdepth;
        hdr.at_egress.egress_global_timestamp = sm.egress_global_timestamp;
        hdr.at_egress.pad6 = 0;
        hdr.at_egress.in_order =
            (bit<1>)(sm.egress_global_timestamp >= hdr.at_ingress.ingress_global_timestamp);
    }
}

#include "include/v1switch.p4"
