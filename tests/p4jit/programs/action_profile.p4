/* SPDX-License-Identifier: Apache-2.0
 *
 * A table whose entries share members of an action profile.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
}

header mark_t {
    bit<8> value;
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
    action found(bit<8> value, bit<9> port) {
        hdr.mark.value = value;
        sm.egress_spec = port;
    }
    action refuse() { mark_to_drop(sm); }
    @name("profile")
    action_profile(16) profile;
    table t {
        key = { hdr.key.a: exact; }
        actions = { found; refuse; NoAction; }
        implementation = profile;
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        t.apply();
    }
}

#include "include/v1switch.p4"
