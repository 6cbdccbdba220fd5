/* SPDX-License-Identifier: Apache-2.0
 *
 * Default actions: none given, given with arguments, const, replaced at run time; a table without a key.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
}

header mark_t {
    bit<8> unset;
    bit<8> given;
    bit<8> constant;
    bit<8> keyless;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action set_unset(bit<8> value) { hdr.mark.unset = value; }
    action set_given(bit<8> value) { hdr.mark.given = value; }
    action set_constant(bit<8> value) { hdr.mark.constant = value; }
    action set_keyless(bit<8> value) { hdr.mark.keyless = value; }
    table unset {
        key = { hdr.key.a: exact; }
        actions = { set_unset; }
    }
    table given {
        key = { hdr.key.a: exact; }
        actions = { set_given; }
        default_action = set_given(0x11);
    }
    table constant {
        key = { hdr.key.a: exact; }
        actions = { set_constant; }
        const default_action = set_constant(0x22);
    }
    table keyless {
        actions = { set_keyless; NoAction; }
        default_action = NoAction();
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.unset = 0;
        hdr.mark.given = 0;
        hdr.mark.constant = 0;
        hdr.mark.keyless = 0;
        unset.apply();
        given.apply();
        constant.apply();
        keyless.apply();
    }
}

#include "include/v1switch.p4"
