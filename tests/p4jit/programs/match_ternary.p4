/* SPDX-License-Identifier: Apache-2.0
 *
 * Ternary match with masks over several fields; the greater priority wins whatever the order of insertion.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<16> a;
    bit<9>  b;
    bit<7>  c;
    bit<72> wide;
}

header mark_t {
    bit<8> value;
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
    action found(bit<8> value) { hdr.mark.value = value; }
    table t {
        key = {
            hdr.key.a: ternary;
            hdr.key.b: ternary;
            hdr.key.c: exact;
            hdr.key.wide: ternary;
        }
        actions = { found; NoAction; }
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        t.apply();
    }
}

#include "include/v1switch.p4"
