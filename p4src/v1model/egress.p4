// SPDX-License-Identifier: Apache-2.0
// Headers change here, and reports are made of clones.

#ifndef DIN_V1MODEL_EGRESS_P4_
#define DIN_V1MODEL_EGRESS_P4_

control SwitchEgress(inout headers_t headers, inout metadata_t metadata, inout standard_metadata_t standard_metadata) {
    Clock() clock;
    PacketIn() packet_in_header;
    Rewrite() rewrite;
    Encapsulation() encapsulation;
    Slack() slack;
    Int() int_md;
    Triggers() triggers;
    Decapsulation() decapsulation;
    Link() link;
    ReportBuilder() report_builder;

    // Packets that left each queue: see Verdict.
    @id(DEQUEUED_COUNTER_ID)
    counter(PORT_QUEUES_SIZE, CounterType.packets_and_bytes) dequeued;

    // Why packets were dropped in egress: by drop_reason_t.
    @id(EGRESS_DROPS_COUNTER_ID)
    counter(DROP_REASONS_SIZE, CounterType.packets_and_bytes) egress_drops;

    bit<1> report_wanted = 0;

    // A report carries no more of its subject than its lengths say. Its last pass is the one that can cut.
    action cut() {
        bit<32> length = 14;
        if (headers.vlan.isValid()) {
            length = length + 4;
        }
        if (headers.fabric.ipv6.isValid()) {
            length = length + 40 + (bit<32>)headers.fabric.ipv6.payload_len;
        } else {
            length = length + (bit<32>)headers.ipv4.total_len;
        }
        truncate(length);
    }

    apply {
        metadata.egress.egress_port = standard_metadata.egress_port;
        metadata.egress.timestamp = standard_metadata.egress_global_timestamp;
        metadata.egress.wait = standard_metadata.deq_timedelta;
        metadata.egress.occupancy = (bit<24>)standard_metadata.enq_qdepth;

        if (standard_metadata.instance_type == INSTANCE_INGRESS_CLONE ||
            standard_metadata.instance_type == INSTANCE_EGRESS_CLONE) {
            metadata.egress.is_clone = 1;
            metadata.bridged.timestamp = metadata.mirror.ingress_time;
            metadata.egress.timestamp = metadata.mirror.egress_time;
        }
        clock.apply(metadata.bridged, metadata.egress);

        if (metadata.egress.is_clone == 1) {
            report_builder.apply(headers, metadata.mirror, metadata.egress, metadata.report);
            if (metadata.report.length == 0) {
                // No collector for it.
                mark_to_drop(standard_metadata);
            } else {
                recirculate_preserving_field_list(REPORT_FIELDS);
            }
        } else {
            dequeued.count((bit<32>)(standard_metadata.egress_port ++ metadata.bridged.queue[2:0]));
            if (metadata.bridged.verdict == VERDICT_PUNT || metadata.bridged.punt_reason == PUNT_PROBE) {
                packet_in_header.apply(headers, metadata.bridged);
            } else if (metadata.bridged.verdict != VERDICT_DIRECT) {
                rewrite.apply(headers, metadata.bridged, metadata.egress);
                encapsulation.apply(headers, metadata.bridged, metadata.egress);
                slack.apply(headers, metadata.bridged, metadata.egress);
                int_md.apply(headers, metadata.bridged, metadata.egress);
                if (metadata.bridged.is_report == 0) {
                    triggers.apply(headers, metadata.bridged, metadata.egress, metadata.mirror, report_wanted);
                }
                decapsulation.apply(headers, metadata.bridged, metadata.egress);
                link.apply(headers, metadata.bridged);
                if (metadata.bridged.is_report == 1) {
                    cut();
                }
                if (metadata.egress.drop_reason != DROP_NONE) {
                    egress_drops.count((bit<32>)metadata.egress.drop_reason);
                    mark_to_drop(standard_metadata);
                }
                if (report_wanted == 1) {
                    clone_preserving_field_list(CloneType.E2E, REPORT_SESSION, MIRROR_FIELDS);
                }
            }
        }
    }
}

#endif  // DIN_V1MODEL_EGRESS_P4_
