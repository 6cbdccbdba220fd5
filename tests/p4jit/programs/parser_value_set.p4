/* SPDX-License-Identifier: Apache-2.0
 *
 * Parser value sets: one of a single field, one of two fields, tried before a fixed value.
 */
#include <core.p4>
#include <v1model.p4>

header ether_t {
    bit<16> type;
    bit<8>  first;
    bit<8>  second;
}

header mark_t {
    bit<8> state;
}

struct headers_t {
    mark_t  mark;
    ether_t ether;
}

struct metadata_t {
    bit<8> state;
}

struct pair_t {
    bit<8> first;
    bit<8> second;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    value_set<bit<16>>(4) types;
    value_set<pair_t>(4) pairs;
    state start {
        packet.extract(hdr.ether);
        transition select(hdr.ether.type) {
            types: in_types;
            0x0800: fixed;
            default: not_in_types;
        }
    }
    state in_types { meta.state = 1; transition accept; }
    state fixed { meta.state = 2; transition accept; }
    state not_in_types {
        transition select(hdr.ether.first, hdr.ether.second) {
            pairs: in_pairs;
            default: neither;
        }
    }
    state in_pairs { meta.state = 3; transition accept; }
    state neither { meta.state = 4; transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.state = meta.state;
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
