/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operator on unsigned values of one width. A packet is: the width (one byte, 0 for 256), a shift
 * count, then a and b packed, padded to a whole byte; the answer has the 16 results in the place of a and b.
 * A program gives WIDTHS(M), which calls M(width) for each width, and DECLARE(width, padding) for each.
 */
#define DECLARE(W, PADDING) \
    header in_##W##_t { bit<W> a; bit<W> b; PADDING } \
    header out_##W##_t { \
        bit<W> add; bit<W> sub; bit<W> mul; bit<W> conj; bit<W> disj; bit<W> excl; bit<W> inverse; \
        bit<W> negative; bit<W> left; bit<W> right; bit<W> sat_add; bit<W> sat_sub; bit<W> less; \
        bit<W> equal; bit<W> larger; bit<W> mixed; \
    }
#define INSTANCE(W) in_##W##_t in_##W; out_##W##_t out_##W;
#define STATE(W) state parse_##W { packet.extract(hdr.in_##W); transition accept; }
#define CASE(W) ((bit<8>)(W % 256)): parse_##W;
#define COMPUTE(W) \
    if (hdr.in_##W.isValid()) { \
        bit<W> a = hdr.in_##W.a; \
        bit<W> b = hdr.in_##W.b; \
        hdr.out_##W.setValid(); \
        hdr.out_##W.add = a + b; \
        hdr.out_##W.sub = a - b; \
        hdr.out_##W.mul = a * b; \
        hdr.out_##W.conj = a & b; \
        hdr.out_##W.disj = a | b; \
        hdr.out_##W.excl = a ^ b; \
        hdr.out_##W.inverse = ~a; \
        hdr.out_##W.negative = -a; \
        hdr.out_##W.left = a << hdr.op.shift; \
        hdr.out_##W.right = a >> hdr.op.shift; \
        hdr.out_##W.sat_add = a |+| b; \
        hdr.out_##W.sat_sub = a |-| b; \
        hdr.out_##W.less = (bit<W>)(bit<1>)(a < b); \
        hdr.out_##W.equal = (bit<W>)(bit<1>)(a == b); \
        hdr.out_##W.larger = a >= b ? a : b; \
        hdr.out_##W.mixed = (a - b) * (a + 1) ^ (~b >> 1); \
        hdr.in_##W.setInvalid(); \
    }

header op_t {
    bit<8> width;
    bit<8> shift;
}

DECLARATIONS

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
