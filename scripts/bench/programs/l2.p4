// SPDX-License-Identifier: Apache-2.0
//
// The smallest switch: one exact match on the destination address names the port.

#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> type;
}

struct headers_t {
    ethernet_t ethernet;
}

struct metadata_t {}

parser SwitchParser(packet_in packet, out headers_t headers, inout metadata_t metadata,
                    inout standard_metadata_t standard) {
    state start {
        packet.extract(headers.ethernet);
        transition accept;
    }
}

control NoChecksum(inout headers_t headers, inout metadata_t metadata) {
    apply {}
}

control SwitchIngress(inout headers_t headers, inout metadata_t metadata, inout standard_metadata_t standard) {
    action forward(bit<9> port) {
        standard.egress_spec = port;
    }

    action drop() {
        mark_to_drop(standard);
    }

    table hosts {
        key = {
            headers.ethernet.destination : exact @name("destination");
        }
        actions = {
            forward;
            drop;
        }
        default_action = drop();
        size = 65536;
    }

    apply {
        hosts.apply();
    }
}

control SwitchEgress(inout headers_t headers, inout metadata_t metadata, inout standard_metadata_t standard) {
    apply {}
}

control SwitchDeparser(packet_out packet, in headers_t headers) {
    apply {
        packet.emit(headers.ethernet);
    }
}

V1Switch(SwitchParser(), NoChecksum(), SwitchIngress(), SwitchEgress(), NoChecksum(), SwitchDeparser()) main;
