/* SPDX-License-Identifier: Apache-2.0
 *
 * Each way a parser can fail, by verify and by itself. The first byte says which one to provoke; a mark in
 * front of the packet says which error ingress saw, and whether the header extracted before it is valid.
 */
#include <core.p4>
#include <v1model.p4>

error {
    BadVersion,
    BadLength
}

header first_t {
    bit<8> test;
    bit<8> argument;
}

header big_t {
    bit<128> x;
}

header option_t {
    bit<8>     x;
    varbit<16> data;
}

header mark_t {
    bit<8> code;
    bit<8> first_valid;
}

struct headers_t {
    mark_t    mark;
    first_t   first;
    first_t[1] stack;
    big_t     big;
    option_t  option;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.first);
        transition select(hdr.first.test) {
            0: accept;
            1: too_short;
            2: no_match;
            3: stack_out_of_bounds;
            4: header_too_short;
            5: invalid_argument;
            6: check_version;
            7: reject;
            8: lookahead_too_short;
            9: advance_too_short;
        }
    }
    state too_short { packet.extract(hdr.big); transition accept; }
    state no_match {
        transition select(hdr.first.argument) {
            1: accept;
            2 &&& 0xfe: accept;
        }
    }
    state stack_out_of_bounds {
        packet.extract(hdr.stack.next);
        packet.extract(hdr.stack.next);
        transition accept;
    }
    state header_too_short {
        packet.extract(hdr.option, 24);
        transition accept;
    }
    state invalid_argument {
        packet.advance((bit<32>)hdr.first.argument);
        transition accept;
    }
    state check_version {
        verify(hdr.first.argument != 4, error.BadVersion);
        verify(hdr.first.argument < 8, error.BadLength);
        transition accept;
    }
    state lookahead_too_short {
        transition select(packet.lookahead<bit<128>>()) {
            0: no_match;
            default: accept;
        }
    }
    state advance_too_short { packet.advance(64); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.first_valid = hdr.first.isValid() ? 8w1 : 0;
        if (sm.parser_error == error.NoError) {
            hdr.mark.code = 0;
        } else if (sm.parser_error == error.PacketTooShort) {
            hdr.mark.code = 1;
        } else if (sm.parser_error == error.NoMatch) {
            hdr.mark.code = 2;
        } else if (sm.parser_error == error.StackOutOfBounds) {
            hdr.mark.code = 3;
        } else if (sm.parser_error == error.HeaderTooShort) {
            hdr.mark.code = 4;
        } else if (sm.parser_error == error.ParserInvalidArgument) {
            hdr.mark.code = 5;
        } else if (sm.parser_error == error.BadVersion) {
            hdr.mark.code = 6;
        } else if (sm.parser_error == error.BadLength) {
            hdr.mark.code = 7;
        } else {
            hdr.mark.code = 0xff;
        }
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
