/* SPDX-License-Identifier: Apache-2.0
 *
 * An action selector: entries refer to groups, a hash of the selector fields picks the member.
 * csum16 over one 16-bit field makes the choice easy to work out by hand.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8>  a;
    bit<16> flow;
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
    action found(bit<8> value) { hdr.mark.value = value; }
    @name("by_flow")
    action_selector(HashAlgorithm.csum16, 32, 16) by_flow;
    table t {
        key = {
            hdr.key.a: exact;
            hdr.key.flow: selector;
        }
        actions = { found; NoAction; }
        implementation = by_flow;
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        t.apply();
    }
}

#include "include/v1switch.p4"
