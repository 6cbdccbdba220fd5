/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on signed values of several widths. A packet is: the width, a shift count, then a and b packed,
 * padded to a whole byte; the answer has the 8 results in the place of a and b.
 */
#include <core.p4>
#include <v1model.p4>

#define DECLARE(W, PADDING) \
    header in_##W##_t { int<W> a; int<W> b; PADDING } \
    header out_##W##_t { \
        int<W> add; int<W> sub; int<W> mul; int<W> negative; int<W> right; int<W> sat_add; int<W> sat_sub; \
        int<W> less; \
    }
#define INSTANCE(W) in_##W##_t in_##W; out_##W##_t out_##W;
#define STATE(W) state parse_##W { packet.extract(hdr.in_##W); transition accept; }
#define CASE(W) W: parse_##W;
#define COMPUTE(W) \
    if (hdr.in_##W.isValid()) { \
        int<W> a = hdr.in_##W.a; \
        int<W> b = hdr.in_##W.b; \
        hdr.out_##W.setValid(); \
        hdr.out_##W.add = a + b; \
        hdr.out_##W.sub = a - b; \
        hdr.out_##W.mul = a * b; \
        hdr.out_##W.negative = -a; \
        hdr.out_##W.right = a >> hdr.op.shift; \
        hdr.out_##W.sat_add = a |+| b; \
        hdr.out_##W.sat_sub = a |-| b; \
        hdr.out_##W.less = a < b ? (int<W>)1 : 0; \
        hdr.in_##W.setInvalid(); \
    }
#define WIDTHS(M) M(7) M(13) M(32) M(64) M(65) M(129)

header op_t {
    bit<8> width;
    bit<8> shift;
}

DECLARE(7, bit<2> pad;)
DECLARE(13, bit<6> pad;)
DECLARE(32, )
DECLARE(64, )
DECLARE(65, bit<6> pad;)
DECLARE(129, bit<6> pad;)

struct headers_t {
    op_t op;
    WIDTHS(INSTANCE)
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.op);
        transition select(hdr.op.width) {
            WIDTHS(CASE)
        }
    }
    WIDTHS(STATE)
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        WIDTHS(COMPUTE)
    }
}

#include "include/v1switch.p4"
