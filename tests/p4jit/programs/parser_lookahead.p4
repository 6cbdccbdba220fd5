/* SPDX-License-Identifier: Apache-2.0
 *
 * lookahead of scalars and of a struct, advance by a constant and by a value from the packet.
 * Bits that were skipped are not emitted.
 */
#include <core.p4>
#include <v1model.p4>

header body_t {
    bit<8> a;
    bit<8> b;
}

header mark_t {
    bit<8>  first;
    bit<4>  nibble;
    bit<12> rest;
    bit<16> skipped;
}

struct headers_t {
    mark_t mark;
    body_t body;
}

struct peek_t {
    bit<8>  first;
    bit<4>  nibble;
    bit<12> rest;
}

struct metadata_t {
    bit<8>  first;
    bit<4>  nibble;
    bit<12> rest;
    bit<16> skipped;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        peek_t peek = packet.lookahead<peek_t>();
        meta.first = peek.first;
        meta.nibble = peek.nibble;
        meta.rest = peek.rest;
        transition select(packet.lookahead<bit<8>>()) {
            0: extract_body;
            1: skip_constant;
            default: skip_value;
        }
    }
    state skip_constant {
        packet.advance(24);
        meta.skipped = 24;
        transition extract_body;
    }
    state skip_value {
        // The first byte counts the bytes to skip, itself included.
        bit<32> bits = (bit<32>)packet.lookahead<bit<8>>() << 3;
        packet.advance(bits);
        meta.skipped = (bit<16>)bits;
        transition extract_body;
    }
    state extract_body {
        packet.extract(hdr.body);
        transition accept;
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.first = meta.first;
        hdr.mark.nibble = meta.nibble;
        hdr.mark.rest = meta.rest;
        hdr.mark.skipped = meta.skipped;
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
