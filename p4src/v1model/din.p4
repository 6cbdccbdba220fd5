// SPDX-License-Identifier: Apache-2.0
// The DIN switch for v1model: p4jit and simple_switch. Every switch of the fabric runs this; what it is, ingress leaf,
// transit, egress leaf or all of them, its table entries say.

#include <core.p4>
#include <v1model.p4>

#include "ids.p4"
#include "sizes.p4"
#include "constants.p4"
#include "headers.p4"
#include "metadata.p4"
#include "parser.p4"
#include "deparser.p4"

#include "target.p4"
#include "sp_pifo.p4"
#include "hashes.p4"
#include "next_hops.p4"
#include "affinity.p4"
#include "telemetry.p4"
#include "option_results.p4"

#include "admission.p4"
#include "validation.p4"
#include "gateway.p4"
#include "sources.p4"
#include "host_option.p4"
#include "classification.p4"
#include "destinations.p4"
#include "steering.p4"
#include "paths.p4"
#include "privacy.p4"
#include "srv6.p4"
#include "delivery.p4"
#include "queueing.p4"
#include "tokens.p4"
#include "reports.p4"
#include "int.p4"
#include "rewrite.p4"
#include "encapsulation.p4"

#include "police.p4"
#include "connections.p4"
#include "punt.p4"
#include "verdict.p4"
#include "ingress.p4"
#include "egress.p4"

parser SwitchParser(packet_in packet, out headers_t headers, inout metadata_t metadata,
                    inout standard_metadata_t standard_metadata) {
    PacketParser() packet_parser;

    state start {
        transition select(standard_metadata.instance_type, standard_metadata.ingress_port) {
            (INSTANCE_RECIRCULATED, _): parse_packet;
            (_, CPU_PORT): parse_packet_out;
            default: parse_packet;
        }
    }

    state parse_packet_out {
        packet.extract(headers.packet_out);
        transition parse_packet;
    }

    state parse_packet {
        packet_parser.apply(packet, headers, metadata.ingress);
        transition accept;
    }
}

control VerifyChecksums(inout headers_t headers, inout metadata_t metadata) {
    apply {
        verify_checksum(headers.ipv4.isValid() && headers.ipv4.ihl == 5,
                        { headers.ipv4.version, headers.ipv4.ihl, headers.ipv4.dscp, headers.ipv4.ecn,
                          headers.ipv4.total_len, headers.ipv4.identification, headers.ipv4.reserved,
                          headers.ipv4.dont_fragment, headers.ipv4.more_fragments, headers.ipv4.fragment_offset,
                          headers.ipv4.ttl, headers.ipv4.protocol, headers.ipv4.src_addr, headers.ipv4.dst_addr },
                        headers.ipv4.header_checksum, HashAlgorithm.csum16);
    }
}

// Every checksum is kept true by what changes the fields (checksum.p4).
control UpdateChecksums(inout headers_t headers, inout metadata_t metadata) {
    apply {}
}

control SwitchDeparser(packet_out packet, in headers_t headers) {
    PacketDeparser() deparser;

    apply {
        deparser.apply(packet, headers);
    }
}

@pkginfo(name="din", version="1")
V1Switch(SwitchParser(), VerifyChecksums(), SwitchIngress(), SwitchEgress(), UpdateChecksums(), SwitchDeparser()) main;
