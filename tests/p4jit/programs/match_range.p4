/* SPDX-License-Identifier: Apache-2.0
 *
 * Range match: bounds included, a single value, the whole range, beside exact, ternary and prefix fields.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<16> port;
    bit<12> vlan;
    bit<4>  pad;
    bit<8>  proto;
    bit<32> address;
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
    table t {
        key = {
            hdr.key.port: range;
            hdr.key.vlan: range;
            hdr.key.proto: ternary;
            hdr.key.address: lpm;
            hdr.key.pad: exact;
        }
        actions = { found; NoAction; }
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        t.apply();
    }
}

#include "include/v1switch.p4"
