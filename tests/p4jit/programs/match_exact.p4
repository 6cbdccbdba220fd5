/* SPDX-License-Identifier: Apache-2.0
 *
 * Exact match on several fields together: one bit, odd widths, 128 bits, a header's validity, an expression.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<1>   one;
    bit<7>   seven;
    bit<128> wide;
    bit<16>  plain;
}

header extra_t {
    bit<8> x;
}

header mark_t {
    bit<8> hit;
    bit<16> value;
}

struct headers_t {
    mark_t  mark;
    key_t   key;
    extra_t extra;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.key);
        transition select(hdr.key.one) {
            1: with_extra;
            default: accept;
        }
    }
    state with_extra { packet.extract(hdr.extra); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action found(bit<16> value) { hdr.mark.value = value; }
    action missed() { hdr.mark.value = 0xffff; }
    table t {
        key = {
            hdr.key.one: exact;
            hdr.key.seven: exact;
            hdr.key.wide: exact;
            hdr.extra.isValid(): exact;
            hdr.key.plain & 0x0ff0: exact @name("middle");
        }
        actions = { found; missed; }
        default_action = missed();
        size = 64;
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.hit = t.apply().hit ? 8w1 : 0;
    }
}

#include "include/v1switch.p4"
