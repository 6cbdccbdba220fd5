/* SPDX-License-Identifier: Apache-2.0
 *
 * resubmit: the packet goes through parser and ingress again as it arrived, with the field list's metadata.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> times;
    bit<8> value;
}

header mark_t {
    bit<8> instance_type;
    bit<8> round;
    bit<8> lost;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t {
    @field_list(3)
    bit<8> round;
    bit<8> lost;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.instance_type = (bit<8>)sm.instance_type;
        hdr.mark.round = meta.round;
        hdr.mark.lost = meta.lost;
        hdr.key.value = hdr.key.value + 1;
        if (meta.round < hdr.key.times) {
            meta.round = meta.round + 1;
            meta.lost = 0x55;
            resubmit_preserving_field_list(3);
        }
    }
}

#include "include/v1switch.p4"
