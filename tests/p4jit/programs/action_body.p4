/* SPDX-License-Identifier: Apache-2.0
 *
 * What an action may hold: conditions (p4c makes jumps of them), early return, calls of other actions,
 * parameters with directions, local variables.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
    bit<8> b;
}

header mark_t {
    bit<8> r;
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
    action double(inout bit<8> x) { x = x << 1; }
    action classify(bit<8> limit) {
        bit<8> x = hdr.key.a;
        if (x > limit) {
            if (hdr.key.b == 0) {
                hdr.mark.r = 1;
                return;
            }
            hdr.mark.r = 2;
        } else if (x == limit) {
            hdr.mark.r = 3;
        } else {
            double(x);
            hdr.mark.r = x;
        }
        hdr.mark.r = hdr.mark.r | 0x80;
    }
    table t {
        key = { hdr.key.b: exact; }
        actions = { classify; }
        default_action = classify(0x10);
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        t.apply();
    }
}

#include "include/v1switch.p4"
