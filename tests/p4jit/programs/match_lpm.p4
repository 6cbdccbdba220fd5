/* SPDX-License-Identifier: Apache-2.0
 *
 * Longest prefix match on 32 and on 128 bits, alone and beside an exact field; the empty prefix.
 */
#include <core.p4>
#include <v1model.p4>

header ip4_t {
    bit<8>  table_number;
    bit<8>  vrf;
    bit<32> address;
}

header ip6_t {
    bit<128> address;
}

header mark_t {
    bit<8> value;
}

struct headers_t {
    mark_t mark;
    ip4_t  ip4;
    ip6_t  ip6;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.ip4);
        transition select(hdr.ip4.table_number) {
            2: with_ip6;
            default: accept;
        }
    }
    state with_ip6 { packet.extract(hdr.ip6); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action found(bit<8> value) { hdr.mark.value = value; }
    table route {
        key = { hdr.ip4.address: lpm; }
        actions = { found; NoAction; }
    }
    table vrf_route {
        key = {
            hdr.ip4.vrf: exact;
            hdr.ip4.address: lpm;
        }
        actions = { found; NoAction; }
    }
    table route6 {
        key = { hdr.ip6.address: lpm; }
        actions = { found; NoAction; }
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        if (hdr.ip4.table_number == 0) {
            route.apply();
        } else if (hdr.ip4.table_number == 1) {
            vrf_route.apply();
        } else {
            route6.apply();
        }
    }
}

#include "include/v1switch.p4"
