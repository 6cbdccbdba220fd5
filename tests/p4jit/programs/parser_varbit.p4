/* SPDX-License-Identifier: Apache-2.0
 *
 * extract with a varbit field: empty, in part, full; too long is HeaderTooShort; copied whole by assignment.
 * The deparser emits what was extracted.
 */
#include <core.p4>
#include <v1model.p4>

header options_t {
    bit<8>      length;
    varbit<64>  data;
}

header tail_t {
    bit<8> x;
}

header mark_t {
    bit<8> code;
}

struct headers_t {
    mark_t    mark;
    options_t copy;
    options_t options;
    tail_t    tail;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.options, (bit<32>)packet.lookahead<bit<8>>() << 3);
        packet.extract(hdr.tail);
        transition accept;
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.code = 0;
        if (sm.parser_error == error.HeaderTooShort) {
            hdr.mark.code = 1;
        } else if (sm.parser_error == error.PacketTooShort) {
            hdr.mark.code = 2;
        }
        // 0x99 asks for a second copy of the options in front.
        if (hdr.tail.isValid() && hdr.tail.x == 0x99) {
            hdr.copy = hdr.options;
        }
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
