/* SPDX-License-Identifier: Apache-2.0
 *
 * Header unions in the parser: extracting a second member invalidates the first; a stack of unions.
 */
#include <core.p4>
#include <v1model.p4>

header kind_t {
    bit<8> kind;
}

header short_t {
    bit<8> kind;
    bit<8> x;
}

header long_t {
    bit<8>  kind;
    bit<24> y;
}

header end_t {
    bit<8> kind;
}

header_union option_t {
    short_t s;
    long_t  l;
    end_t   e;
}

header mark_t {
    bit<8> single_short;
    bit<8> single_long;
    bit<8> options;
}

struct headers_t {
    mark_t      mark;
    option_t    single;
    option_t[3] options;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        transition select(packet.lookahead<bit<8>>()) {
            1: single_short;
            2: single_long;
            3: short_then_long;
            default: options;
        }
    }
    state single_short { packet.extract(hdr.single.s); transition options; }
    state single_long { packet.extract(hdr.single.l); transition options; }
    state short_then_long {
        packet.extract(hdr.single.s);
        packet.extract(hdr.single.l);
        transition options;
    }
    state options {
        transition select(packet.lookahead<bit<8>>()) {
            0: option_end;
            1: option_short;
            2: option_long;
            default: accept;
        }
    }
    state option_end { packet.extract(hdr.options.next.e); transition accept; }
    state option_short { packet.extract(hdr.options.next.s); transition options; }
    state option_long { packet.extract(hdr.options.next.l); transition options; }
}

#define COUNT(i) \
    if (hdr.options[i].s.isValid() || hdr.options[i].l.isValid() || hdr.options[i].e.isValid()) { \
        hdr.mark.options = hdr.mark.options + 1; \
    }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.single_short = hdr.single.s.isValid() ? 8w1 : 0;
        hdr.mark.single_long = hdr.single.l.isValid() ? 8w1 : 0;
        hdr.mark.options = 0;
        // Members by name: bmv2 does not load what p4c makes of isValid() of a union in a stack.
        COUNT(0)
        COUNT(1)
        COUNT(2)
        if (hdr.options[0].l.isValid()) { hdr.options[0].l.y = hdr.options[0].l.y + 1; }
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
