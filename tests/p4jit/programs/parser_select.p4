/* SPDX-License-Identifier: Apache-2.0
 *
 * select: exact values, masks, ranges, several keys at once, a named state for the rest, and reject.
 * The state that was taken is written over the first byte.
 */
#include <core.p4>
#include <v1model.p4>

header tag_t {
    bit<8>  kind;
    bit<16> value;
    bit<1>  flag;
    bit<7>  low;
}

header mark_t {
    bit<8> state;
}

struct headers_t {
    mark_t mark;
    tag_t  tag;
}

struct metadata_t {
    bit<8> state;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.tag);
        meta.state = 0;
        transition select(hdr.tag.kind) {
            0: by_mask;
            1: by_range;
            2: by_two_keys;
            3: accept;
            4: reject;
            0x80 &&& 0xf0: high;
            default: other;
        }
    }
    state by_mask {
        meta.state = 1;
        transition select(hdr.tag.value) {
            0x0800: masked_exact;
            0x0800 &&& 0xff00: masked_high;
            0x0001 &&& 0x0001: masked_odd;
            _: other;
        }
    }
    state masked_exact { meta.state = 0x11; transition accept; }
    state masked_high { meta.state = 0x12; transition accept; }
    state masked_odd { meta.state = 0x13; transition accept; }
    state by_range {
        transition select(hdr.tag.value) {
            0 .. 9: range_low;
            10 .. 0x3fff: range_mid;
            0x8001 .. 0xffff: range_high;
            default: other;
        }
    }
    state range_low { meta.state = 0x21; transition accept; }
    state range_mid { meta.state = 0x22; transition accept; }
    state range_high { meta.state = 0x23; transition accept; }
    state by_two_keys {
        transition select(hdr.tag.flag, hdr.tag.low) {
            (1, 5): both;
            (1, _): flag_only;
            (_, 5): low_only;
            (0, 0x40 &&& 0x60): flag_and_mask;
            default: other;
        }
    }
    state both { meta.state = 0x31; transition accept; }
    state flag_only { meta.state = 0x32; transition accept; }
    state low_only { meta.state = 0x33; transition accept; }
    state flag_and_mask { meta.state = 0x34; transition accept; }
    state high { meta.state = 0x41; transition accept; }
    state other { meta.state = 0xff; transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.state = meta.state;
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
