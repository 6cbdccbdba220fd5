/* SPDX-License-Identifier: Apache-2.0
 *
 * recirculate: the packet as it would have left comes in again, with the field list's metadata.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> times;
    bit<8> value;
}

header mark_t {
    bit<8> type_at_ingress;
    bit<8> type_at_egress;
    bit<8> round;
    bit<8> lost;
    bit<8> port;
}

struct headers_t {
    key_t  key;
    mark_t mark;
}

struct metadata_t {
    @field_list(2)
    bit<8> round;
    bit<8> lost;
    bit<8> type_at_ingress;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        meta.type_at_ingress = (bit<8>)sm.instance_type;
        if (meta.round == 1) {
            // Metadata that was kept steers the second pass.
            sm.egress_spec = 2;
        }
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        // Pushes a mark in front of the payload on every pass: the packet grows.
        hdr.mark.setValid();
        hdr.mark.type_at_ingress = meta.type_at_ingress;
        hdr.mark.type_at_egress = (bit<8>)sm.instance_type;
        hdr.mark.round = meta.round;
        hdr.mark.lost = meta.lost;
        hdr.mark.port = (bit<8>)sm.egress_port;
        hdr.key.value = hdr.key.value + 1;
        if (meta.round < hdr.key.times) {
            meta.round = meta.round + 1;
            meta.lost = 0x77;
            recirculate_preserving_field_list(2);
        }
    }
}

#include "include/v1switch.p4"
