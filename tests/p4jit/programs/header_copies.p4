/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers as values: assignment carries validity, comparison looks at it first, a list sets all fields; fields
 * of an invalid header may be written without effect on the packet.
 */
#include <core.p4>
#include <v1model.p4>

header op_t {
    bit<8> op;
}

header pair_t {
    bit<8> x;
    bit<8> y;
}

header mark_t {
    bit<8> r;
}

struct headers_t {
    op_t   op;
    mark_t mark;
    pair_t p;
    pair_t q;
    pair_t never;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.op);
        packet.extract(hdr.p);
        transition select(hdr.op.op) {
            0x80 &&& 0x80: parse_q;
            default: accept;
        }
    }
    state parse_q { packet.extract(hdr.q); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.r = 0;
        bit<7> op = hdr.op.op[6:0];
        if (op == 1) {
            hdr.q = hdr.p;
            hdr.q.x = hdr.q.x + 1;
        } else if (op == 2) {
            hdr.p = hdr.never;
        } else if (op == 3) {
            if (hdr.p == hdr.q) {
                hdr.mark.r = 1;
            }
        } else if (op == 4) {
            hdr.q = { 8w0x12, 8w0x34 };
        } else if (op == 5) {
            hdr.p.setInvalid();
            hdr.p.x = 9;
        } else if (op == 6) {
            // Emitting stops and starts with validity; fields start anew from what is assigned.
            hdr.p.setInvalid();
            hdr.p.setValid();
            hdr.p.x = 0x77;
            hdr.p.y = 0x88;
        }
    }
}

#include "include/v1switch.p4"
