// SPDX-License-Identifier: Apache-2.0
// The pipeline in a page. A packet starts as dropped; `drop_reason` and `verdict` say what has been decided so far.

#ifndef DIN_V1MODEL_INGRESS_P4_
#define DIN_V1MODEL_INGRESS_P4_

control SwitchIngress(inout headers_t headers, inout metadata_t metadata,
                inout standard_metadata_t standard_metadata) {
    Ports() ports;
    Infrastructure() infrastructure;
    Validation() validation;
    Gateway() gateway;
    Sources() sources;
    HostOption() host_option;
    Services() services;
    Classifier() classifier;
    FlowHashes() flow_hashes;
    Destinations() destinations;
    Steering() steering;
    Paths() paths;
    FabricIdentity() fabric_identity;
    Segments() segments;
    Functions() functions;
    HopLimit() hop_limit;
    PacketSize() packet_size;
    DestinationGuard() destination_guard;
    NextHops() next_hops;
    BoundaryGuard() boundary_guard;
    Police() police;
    Queueing() queueing;
    Tokens() tokens;
    Connections() connections;
    DropReports() drop_reports;
    PuntLimit() punt_limit;
    Verdict() verdict;

    bit<1> report_wanted = 0;

    // What egress has to know of a packet that goes on.
    action bridge() {
        metadata.bridged.verdict = metadata.ingress.verdict;
        metadata.bridged.ingress_port = metadata.ingress.ingress_port;
        metadata.bridged.timestamp = metadata.ingress.timestamp;
        metadata.bridged.queue = metadata.ingress.queue;
        metadata.bridged.header_length = metadata.ingress.header_length;
        metadata.bridged.ip_length = metadata.ingress.ip_length;
        metadata.bridged.payload_length = metadata.ingress.payload_length;
        metadata.bridged.punt_reason = metadata.ingress.punt_reason;
        metadata.bridged.segments = metadata.ingress.segments;
        metadata.bridged.entropy = metadata.ingress.entropy;
        metadata.bridged.mtu = metadata.ingress.mtu + FABRIC_OVERHEAD;
        metadata.bridged.tenant = metadata.ingress.tenant;
        metadata.bridged.service = metadata.ingress.service;
        metadata.bridged.instance = metadata.ingress.instance;
        metadata.bridged.session = metadata.ingress.session;
        metadata.bridged.class_id = metadata.ingress.class_id;
        metadata.bridged.label = metadata.ingress.label;
        metadata.bridged.watched = metadata.ingress.watched;
        metadata.bridged.late_drop = metadata.ingress.late_drop;
        metadata.bridged.slack = metadata.ingress.slack;
        metadata.bridged.flow_hash = metadata.ingress.flow_hash;
        metadata.bridged.int_instructions = metadata.ingress.int_instructions;
        metadata.bridged.int_hop_ml = metadata.ingress.int_hop_ml;
        metadata.bridged.int_hops = metadata.ingress.int_hops;
        if (metadata.ingress.direction == DIRECTION_RESPONSE) {
            metadata.bridged.response = 1;
        }
    }

    apply {
        mark_to_drop(standard_metadata);
        metadata.ingress.ingress_port = standard_metadata.ingress_port;
        metadata.ingress.timestamp = standard_metadata.ingress_global_timestamp;
        metadata.ingress.frame_length = (bit<16>)standard_metadata.packet_length;
        if (standard_metadata.parser_error != error.NoError) {
            metadata.ingress.truncated = 1;
        }
        metadata.ingress.bad_checksum = standard_metadata.checksum_error;

        if (standard_metadata.instance_type == INSTANCE_RECIRCULATED) {
            metadata.ingress.role = ROLE_REPORT;
            metadata.ingress.label = metadata.report.label;
            metadata.ingress.class_id = metadata.report.class_id;
            metadata.bridged.is_report = 1;
        } else if (headers.packet_out.isValid()) {
            metadata.ingress.role = ROLE_CPU;
            metadata.ingress.identified = 1;
            metadata.ingress.tenant = headers.packet_out.tenant;
            metadata.ingress.class_id = CLASS_CONTROL;
            metadata.ingress.frame_length = metadata.ingress.frame_length - 6;
            if (headers.packet_out.submit_to_ingress == 0) {
                metadata.ingress.verdict = VERDICT_DIRECT;
                metadata.ingress.egress_port = (port_id_t)headers.packet_out.port;
                metadata.ingress.queue = headers.packet_out.queue & 7;
                if (metadata.ingress.egress_port == CPU_PORT) {
                    metadata.ingress.punt_reason = PUNT_PROBE;
                }
            }
            headers.packet_out.setInvalid();
        } else {
            ports.apply(metadata.ingress);
        }

        if (metadata.ingress.drop_reason == DROP_NONE && metadata.ingress.verdict == VERDICT_NONE) {
            validation.apply(headers, metadata.ingress);
            if (metadata.ingress.drop_reason == DROP_NONE) {
                if (metadata.ingress.role == ROLE_FABRIC && headers.fabric.ipv6.isValid()) {
                    fabric_identity.apply(headers, metadata.ingress);
                    segments.apply(headers, metadata.ingress);
                } else {
                    if (metadata.ingress.role == ROLE_ACCESS || metadata.ingress.role == ROLE_FABRIC) {
                        gateway.apply(headers, metadata.ingress, metadata.bridged);
                    }
                    if (metadata.ingress.role == ROLE_ACCESS && metadata.ingress.drop_reason == DROP_NONE &&
                        metadata.ingress.verdict == VERDICT_NONE) {
                        infrastructure.apply(headers, metadata.ingress);
                        if (metadata.ingress.drop_reason == DROP_NONE) {
                            sources.apply(headers, metadata.ingress, metadata.bridged);
                        }
                        if (metadata.ingress.drop_reason == DROP_NONE) {
                            host_option.apply(headers, metadata.ingress);
                            services.apply(metadata.ingress);
                            classifier.apply(headers, metadata.ingress);
                            if (metadata.ingress.drop_reason == DROP_NONE) {
                                metadata.ingress.identified = 1;
                            }
                        }
                    }
                    if (metadata.ingress.drop_reason == DROP_NONE && metadata.ingress.verdict == VERDICT_NONE) {
                        flow_hashes.apply(metadata.ingress);
                    }
                }
                // Where to is open, or a path ended here in a lookup: then only which function is.
                if (metadata.ingress.drop_reason == DROP_NONE) {
                    if (metadata.ingress.verdict == VERDICT_NONE &&
                        metadata.ingress.direction == DIRECTION_REQUEST) {
                        steering.apply(headers, metadata.ingress);
                    } else if (metadata.ingress.verdict == VERDICT_NONE ||
                               (metadata.ingress.verdict == VERDICT_DELIVER && metadata.ingress.function == 0)) {
                        destinations.apply(metadata.ingress);
                    }
                    if (metadata.ingress.drop_reason == DROP_NONE && metadata.ingress.verdict == VERDICT_NONE &&
                        metadata.ingress.function == 0) {
                        paths.apply(metadata.ingress);
                    }
                }
            }
        }

        // Where to: a function of this switch, or the next one.
        if (metadata.ingress.drop_reason == DROP_NONE) {
            if (metadata.ingress.function != 0) {
                functions.apply(metadata.ingress, metadata.bridged);
            }
            if (metadata.ingress.drop_reason == DROP_NONE &&
                (metadata.ingress.verdict == VERDICT_ENCAPSULATE || metadata.ingress.verdict == VERDICT_DELIVER)) {
                destination_guard.apply(metadata.ingress);
                if (metadata.ingress.drop_reason == DROP_NONE) {
                    hop_limit.apply(headers, metadata.ingress, metadata.bridged);
                }
                if (metadata.ingress.drop_reason == DROP_NONE && metadata.ingress.verdict != VERDICT_PUNT) {
                    packet_size.apply(headers, metadata.ingress, metadata.bridged);
                }
            }
            if (metadata.ingress.drop_reason == DROP_NONE &&
                (metadata.ingress.verdict == VERDICT_ENCAPSULATE || metadata.ingress.verdict == VERDICT_TRANSIT)) {
                next_hops.apply(metadata.ingress, metadata.bridged);
                if (metadata.ingress.drop_reason == DROP_NONE) {
                    boundary_guard.apply(headers, metadata.ingress);
                }
            }
        }
        if (metadata.ingress.drop_reason == DROP_NONE) {
            if (metadata.ingress.verdict == VERDICT_PUNT) {
                punt_limit.apply(metadata.ingress);
            } else if (metadata.ingress.verdict == VERDICT_REPLY) {
                if (headers.arp.isValid() || headers.nd_target.isValid()) {
                    metadata.ingress.class_id = CLASS_CONTROL;
                }
            } else if (metadata.ingress.verdict != VERDICT_DIRECT) {
                if (metadata.ingress.role == ROLE_ACCESS) {
                    police.apply(metadata.ingress, metadata.bridged);
                }
                if (metadata.ingress.drop_reason == DROP_NONE) {
                    connections.apply(headers, metadata.ingress);
                    if (metadata.ingress.watched == 1) {
                        tokens.apply(headers, metadata.ingress, metadata.bridged);
                    }
                }
            }
        }
        if (metadata.ingress.drop_reason == DROP_NONE && metadata.ingress.verdict != VERDICT_DIRECT) {
            queueing.apply(metadata.ingress);
        }

        verdict.apply(metadata.ingress, standard_metadata);
        bridge();
        if (metadata.ingress.drop_reason != DROP_NONE && metadata.bridged.is_report == 0) {
            drop_reports.apply(headers, metadata.ingress, metadata.mirror, report_wanted);
            if (report_wanted == 1) {
                clone_preserving_field_list(CloneType.I2E, REPORT_SESSION, MIRROR_FIELDS);
            }
        }
    }
}

#endif  // DIN_V1MODEL_INGRESS_P4_
