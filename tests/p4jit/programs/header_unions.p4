/* SPDX-License-Identifier: Apache-2.0
 *
 * Header unions in controls: making one member valid ends the others, copies of unions and of members.
 */
#include <core.p4>
#include <v1model.p4>

header op_t {
    bit<8> op;
}

header a_t {
    bit<8> x;
}

header b_t {
    bit<16> y;
}

header_union u_t {
    a_t a;
    b_t b;
}

struct headers_t {
    op_t op;
    u_t  first;
    u_t  second;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.op);
        transition select(hdr.op.op) {
            0x80 &&& 0x80: parse_b;
            default: parse_a;
        }
    }
    state parse_a { packet.extract(hdr.first.a); transition accept; }
    state parse_b { packet.extract(hdr.first.b); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.op.op == 1) {
            hdr.first.b.setValid();
            hdr.first.b.y = 0x1234;
        } else if (hdr.op.op == 2) {
            hdr.first.a.setInvalid();
        } else if (hdr.op.op[6:0] == 3) {
            hdr.second = hdr.first;
        } else if (hdr.op.op == 4) {
            hdr.second.a = hdr.first.a;
            hdr.second.a.x = hdr.second.a.x + 1;
        } else if (hdr.op.op[6:0] == 5) {
            hdr.second.b.setValid();
            hdr.second.b.y = 0x5678;
            // Copying over it takes the other member along.
            hdr.second = hdr.first;
        } else if (hdr.op.op[6:0] == 6) {
            if (hdr.first.isValid()) {
                hdr.op.op = 0x66;
            }
        }
    }
}

#include "include/v1switch.p4"
