/* SPDX-License-Identifier: Apache-2.0
 *
 * random: both bounds included, equal bounds, and that values differ from packet to packet.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<16> low;
    bit<16> high;
}

header mark_t {
    bit<16> value;
    bit<8>  in_bounds;
    bit<8>  fixed;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        random(hdr.mark.value, hdr.key.low, hdr.key.high);
        random(hdr.mark.fixed, 8w7, 8w7);
        hdr.mark.in_bounds = 0;
        if (hdr.mark.value >= hdr.key.low && hdr.mark.value <= hdr.key.high) {
            hdr.mark.in_bounds = 1;
        }
    }
}

#include "include/v1switch.p4"
