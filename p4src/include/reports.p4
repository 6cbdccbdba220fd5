// SPDX-License-Identifier: Apache-2.0
// Telemetry Report v2.0 about packets that were dropped (D), that met a congested queue (Q), or that tell something new
// of a watched flow (F). One packet makes at most one report, which says all that is true of it.
//
//   ingress        DropReports    drop_reports: reason -> how many a second, for each port
//   egress         Triggers       late_drop_reports: reason -> how many a second, for each queue
//                                 queue_thresholds: (port, queue) -> depth, latency, how many a second
//                                 flow_filter: how much of a change is news
//   on the clone   ReportBuilder  report_sinks: (label, tenant, kind) -> collector
//
// The report goes round as an IPv4 packet of class CLASS_REPORT | class and with the label of what it reports on:
// whatever guards that label's packets guards it too. Of an unlabelled packet it quotes the headers and SNAP_LENGTH
// bytes, of a labelled one the headers alone. A packet whose label is not known, as it was dropped before that could be
// read or says nothing of it, is reported with LABEL_UNKNOWN, and quoted like a labelled one. Reports make no reports.

#ifndef DIN_REPORTS_P4_
#define DIN_REPORTS_P4_

#include "ids.p4"
#include "metadata.p4"

// Bytes of the fabric's headers, as far as they were understood: the stack counts where the lengths around it agree.
control FabricLength(in headers_t headers, inout bit<16> length) {
    apply {
        if (headers.fabric.ipv6.isValid()) {
            length = 40;
            if (headers.fabric.segments[0].isValid()) {
                length = length + 8 + ((bit<16>)headers.fabric.srh.ext_len << 3);
            }
            if (headers.fabric.udp.isValid()) {
                length = length + 8;
            }
            if (headers.fabric.geneve.isValid()) {
                length = length + 8;
            }
            if (headers.fabric.din.isValid()) {
                length = length + 28;
            }
            if (headers.fabric.int_md.isValid()) {
                if ((bit<8>)headers.fabric.geneve.opt_len == (bit<8>)headers.fabric.int_md.length + 8) {
                    length = length + 4 + ((bit<16>)headers.fabric.int_md.length << 2);
                } else {
                    length = length + INT_OVERHEAD;
                }
            }
        }
    }
}

// Ingress: is this drop to be reported?
control DropReports(in headers_t headers, in ingress_metadata_t ingress, inout mirror_metadata_t mirror,
                    inout bit<1> wanted) {
    FabricLength() fabric_length;
    DropQuota() drop_quota;
    bit<16> quota = 0;
    bit<16> quoted = 0;
    bit<16> available = 0;

    // At most so many of each port in a second.
    @id(REPORT_DROPS_ACTION_ID)
    action report_drops(@id(1) bit<16> reports) {
        quota = reports;
    }

    @id(DROP_REPORTS_TABLE_ID)
    @entry_restriction("drop_reason > 0 && drop_reason < 64")  // DROP_QUOTAS_SIZE / PORTS_SIZE
    table drop_reports {
        key = {
            ingress.drop_reason : exact @id(1) @name("drop_reason");
        }
        actions = {
            report_drops;
        }
        default_action = report_drops(0);
        size = REPORTED_REASONS_SIZE;
    }

    action describe() {
        mirror.dropped = 1;
        mirror.drop_reason = ingress.drop_reason;
        mirror.ingress_port = (bit<16>)ingress.ingress_port;
        mirror.egress_port = PORT_UNKNOWN;
        mirror.queue = QUEUE_UNKNOWN;
        mirror.ingress_time = ingress.timestamp;
        mirror.tenant = ingress.tenant;
        mirror.service = ingress.service;
        mirror.instance = ingress.instance;
        mirror.class_id = ingress.class_id;
        mirror.flow_hash = ingress.flow_hash;
        mirror.label = LABEL_UNKNOWN;
        if (ingress.identified == 1) {
            mirror.label = ingress.label;
        }
    }

    // What the DIN option says holds, whatever else is wrong with the packet.
    action describe_fabric() {
        mirror.tenant = (tenant_id_t)headers.fabric.geneve.vni;
        mirror.service = headers.fabric.din.service;
        mirror.class_id = (class_id_t)headers.fabric.din.class_id;
        mirror.label = headers.fabric.din.label;
        mirror.flow_hash = headers.fabric.din.flow_hash;
    }

    apply {
        drop_reports.apply();
        describe();
        if (ingress.role == ROLE_FABRIC && headers.fabric.din.isValid()) {
            describe_fabric();
        }
        // Reports of other nodes are told by their class.
        if (quota != 0 && !(ingress.role == ROLE_FABRIC && mirror.class_id[3:3] == 1)) {
            drop_quota.apply(ingress.ingress_port, ingress.drop_reason, ingress.timestamp, quota, wanted);
            // These were dropped once the way was known.
            if (ingress.drop_reason == DROP_NO_NEXT_HOP || ingress.drop_reason == DROP_BOUNDARY ||
                ingress.drop_reason == DROP_STREAM_RATE || ingress.drop_reason == DROP_STREAM_SIZE ||
                ingress.drop_reason == DROP_TENANT_RATE) {
                mirror.egress_port = (bit<16>)ingress.egress_port;
            }
            available = ingress.frame_length |-| 14;
            if (headers.vlan.isValid()) {
                available = ingress.frame_length |-| 18;
            }
            fabric_length.apply(headers, quoted);
            if (ingress.is_ip == 1 && ingress.drop_reason > DROP_IP_CHECKSUM) {
                // The lengths are true.
                quoted = quoted + ingress.header_length;
                if (!headers.fabric.ipv6.isValid() && available > ingress.ip_length) {
                    available = ingress.ip_length;
                }
            } else if (headers.ipv4.isValid()) {
                // They may say anything: only what every such header has is taken for headers.
                quoted = quoted + 20;
            } else if (headers.ipv6.isValid()) {
                quoted = quoted + 40;
            }
            if (mirror.label == 0 && quoted != 0) {
                quoted = quoted + SNAP_LENGTH;
            }
            if (quoted > available) {
                quoted = available;
            }
            mirror.quoted_length = quoted & 0xfffc;
        }
    }
}

// Egress: late drops, congestion, and events of watched flows, of a packet that is not a clone.
control Triggers(in headers_t headers, in bridged_metadata_t bridged, inout egress_metadata_t egress,
                 inout mirror_metadata_t mirror, inout bit<1> wanted) {
    LateDropQuota() late_drop_quota;
    QueueQuota() queue_quota;
    FlowFilter() change_filter;
    FabricLength() fabric_length;
    bit<16> late_drop_reports_left = 0;
    bit<16> queue_reports_left = 0;
    bit<1>  is_over = 0;
    bit<1>  late_drop_granted = 0;
    bit<32> latency_mask = 0;
    bit<64> time_mask = 0;
    flow_signature_t signed = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    bit<16> quoted = 0;
    bit<16> available = 0;

    @id(REPORT_LATE_DROPS_ACTION_ID)
    action report_late_drops(@id(1) bit<16> reports) {
        late_drop_reports_left = reports;
    }

    @id(LATE_DROP_REPORTS_TABLE_ID)
    @entry_restriction("drop_reason > 0 && drop_reason < 64")
    table late_drop_reports {
        key = {
            egress.drop_reason : exact @id(1) @name("drop_reason");
        }
        actions = {
            report_late_drops;
        }
        default_action = report_late_drops(0);
        size = REPORTED_REASONS_SIZE;
    }

    // A packet that finds so many in the queue, or that is in the switch for so long (ns), is congested.
    @id(SET_THRESHOLDS_ACTION_ID)
    action set_thresholds(@id(1) bit<24> depth, @id(2) bit<32> latency, @id(3) bit<16> reports) {
        queue_reports_left = reports;
        if (egress.occupancy >= depth || egress.hop_latency >= latency) {
            is_over = 1;
        }
    }

    @id(QUEUE_THRESHOLDS_TABLE_ID)
    @entry_restriction("queue < 8")
    table queue_thresholds {
        key = {
            egress.egress_port : exact @id(1) @name("port");
            bridged.queue : exact @id(2) @name("queue");
        }
        actions = {
            set_thresholds;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = PORT_QUEUES_SIZE;
    }

    // Bits of latencies (ns) and of the time that make a difference. As it stands, latencies differ by a millisecond,
    // and a flow that does not change is reported about every second.
    @id(SET_FLOW_FILTER_ACTION_ID)
    action set_flow_filter(@id(1) bit<32> latency, @id(2) bit<64> time) {
        latency_mask = latency;
        time_mask = time;
    }

    @id(FLOW_FILTER_TABLE_ID)
    table flow_filter {
        actions = {
            set_flow_filter;
        }
        default_action = set_flow_filter(0xfff0_0000, 0xffff_ffff_c000_0000);
    }

    action sign() {
        signed.ingress_port = bridged.ingress_port;
        signed.egress_port = egress.egress_port;
        signed.latency = egress.hop_latency & latency_mask;
        signed.time = egress.egress_time & time_mask;
    }

    // The way through the fabric: of each hop the node, its ports and its latency.
    action sign_hops() {
        bit<128> mask = 64w0xffff_ffff_ffff_ffff ++ latency_mask ++ 32w0;
        signed.hops = headers.fabric.int_md.remaining_hops;
        if (headers.fabric.int_quads[0].isValid()) {
            signed.hop_0 = headers.fabric.int_quads[0].words & mask;
        }
        if (headers.fabric.int_quads[1].isValid()) {
            signed.hop_1 = headers.fabric.int_quads[1].words & mask;
        }
        if (headers.fabric.int_quads[2].isValid()) {
            signed.hop_2 = headers.fabric.int_quads[2].words & mask;
        }
        if (headers.fabric.int_quads[3].isValid()) {
            signed.hop_3 = headers.fabric.int_quads[3].words & mask;
        }
        if (headers.fabric.int_quads[4].isValid()) {
            signed.hop_4 = headers.fabric.int_quads[4].words & mask;
        }
        if (headers.fabric.int_quads[5].isValid()) {
            signed.hop_5 = headers.fabric.int_quads[5].words & mask;
        }
        if (headers.fabric.int_quads[6].isValid()) {
            signed.hop_6 = headers.fabric.int_quads[6].words & mask;
        }
    }

    action describe() {
        mirror.congested = egress.congested;
        mirror.tracked = egress.tracked;
        mirror.drop_reason = egress.drop_reason;
        mirror.ingress_port = (bit<16>)bridged.ingress_port;
        mirror.egress_port = (bit<16>)egress.egress_port;
        mirror.queue = bridged.queue;
        mirror.occupancy = egress.occupancy;
        mirror.latency = egress.hop_latency;
        mirror.ingress_time = bridged.timestamp;
        mirror.egress_time = egress.timestamp;
        mirror.tenant = bridged.tenant;
        mirror.service = bridged.service;
        mirror.instance = bridged.instance;
        mirror.label = bridged.label;
        mirror.class_id = bridged.class_id;
        mirror.flow_hash = bridged.flow_hash;
        mirror.tokens = bridged.tokens;
        if (egress.drop_reason != DROP_NONE) {
            mirror.dropped = 1;
        }
    }

    apply {
        if ((bridged.verdict == VERDICT_ENCAPSULATE || bridged.verdict == VERDICT_TRANSIT ||
             bridged.verdict == VERDICT_DELIVER) && bridged.class_id[3:3] == 0) {
            if (egress.drop_reason != DROP_NONE) {
                late_drop_reports.apply();
                if (late_drop_reports_left != 0) {
                    late_drop_quota.apply(egress.egress_port, bridged.queue, egress.timestamp, late_drop_reports_left,
                                          late_drop_granted);
                }
            }
            queue_thresholds.apply();
            if (is_over == 1 && queue_reports_left != 0) {
                queue_quota.apply(egress.egress_port, bridged.queue, egress.timestamp, queue_reports_left,
                                  egress.congested);
            }
            if (bridged.verdict == VERDICT_DELIVER &&
                (headers.fabric.int_md.isValid() || bridged.int_instructions != 0 || bridged.watched == 1)) {
                flow_filter.apply();
                sign();
                if (headers.fabric.int_md.isValid() && headers.fabric.int_md.instructions == INT_DEFAULT) {
                    sign_hops();
                }
                change_filter.apply(bridged.flow_hash, signed, egress.tracked);
            }
            if (bridged.tokens.event != TOKEN_NONE) {
                egress.tracked = 1;
            }
            if (late_drop_granted == 1 || egress.congested == 1 || egress.tracked == 1) {
                wanted = 1;
                describe();
                fabric_length.apply(headers, quoted);
                quoted = quoted + bridged.header_length;
                if (headers.fabric.ipv6.isValid()) {
                    available = headers.fabric.ipv6.payload_len + 40;
                    if (!headers.fabric.din.isValid()) {
                        mirror.label = LABEL_UNKNOWN;
                    }
                } else {
                    available = bridged.ip_length;
                }
                if (mirror.label == 0) {
                    quoted = quoted + SNAP_LENGTH;
                }
                if (quoted > available) {
                    quoted = available;
                }
                mirror.quoted_length = quoted & 0xfffc;
            }
        }
    }
}

// Egress, on the clone: the report. Without a collector its length stays 0.
control ReportBuilder(inout headers_t headers, in mirror_metadata_t mirror, inout egress_metadata_t egress,
                      inout report_metadata_t report) {
    ReportSequence() report_sequence;
    report_kind_t kind = REPORT_FLOW;
    bit<1>  has_sink = 0;
    bit<6>  sink = 0;
    bit<32> node_addr = 0;
    bit<32> collector_addr = 0;
    bit<16> collector_port = 0;
    bit<22> sequence = 0;
    bit<8>  md_words = 0;
    bit<32> sum = 0;

    // `hw_id` stands for the collector: numbers run for each of them, so that it sees what it lost.
    @id(TO_COLLECTOR_ACTION_ID)
    action to_collector(@id(1) bit<6> hw_id, @id(2) bit<32> src_addr, @id(3) bit<32> dst_addr,
                        @id(4) bit<16> dst_port) {
        has_sink = 1;
        sink = hw_id;
        node_addr = src_addr;
        collector_addr = dst_addr;
        collector_port = dst_port;
    }

    @id(REPORT_SINKS_TABLE_ID)
    @entry_restriction("kind::mask != 0 -> (kind::mask == 255 && kind::value >= 1 && kind::value <= 3)")
    table report_sinks {
        key = {
            mirror.label : exact @id(1) @name("label");
            mirror.tenant : ternary @id(2) @name("tenant");
            kind : ternary @id(3) @name("kind");
        }
        actions = {
            to_collector;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = REPORT_SINKS_SIZE;
    }

    action build() {
        headers.report.group.setValid();
        headers.report.group.version = REPORT_VERSION;
        headers.report.group.hw_id = sink;
        headers.report.group.sequence = sequence;
        headers.report.group.node_id = egress.node_id;
        headers.report.report.setValid();
        headers.report.report.type = REPORT_TYPE_INT;
        headers.report.report.inner_type = REPORT_INNER_NONE;
        headers.report.report.dropped = mirror.dropped;
        headers.report.report.congested = mirror.congested;
        headers.report.report.tracked = mirror.tracked;
        headers.report.report.intermediate = 0;
        headers.report.report.reserved = 0;
        headers.report.report.md_bits = REPORT_MD_PORTS | REPORT_MD_INGRESS_TIME;
        headers.report.report.domain = REPORT_DOMAIN;
        headers.report.report.ds_md_bits = REPORT_DS_TRAFFIC;
        headers.report.report.ds_md_status = 0;
        headers.report.ports.setValid();
        headers.report.ports.ingress_port = mirror.ingress_port;
        headers.report.ports.egress_port = mirror.egress_port;
        headers.report.ingress_time.setValid();
        headers.report.ingress_time.time = egress.ingress_time;
        headers.report.traffic.setValid();
        headers.report.traffic.tenant = mirror.tenant;
        headers.report.traffic.service = mirror.service;
        headers.report.traffic.instance = mirror.instance;
        headers.report.traffic.label = mirror.label;
        headers.report.traffic.class_id = mirror.class_id;
        headers.report.traffic.flow_hash = mirror.flow_hash;
        md_words = 6;
    }

    action add_drop() {
        headers.report.report.md_bits = headers.report.report.md_bits | REPORT_MD_DROP;
        headers.report.drop.setValid();
        headers.report.drop.queue = mirror.queue;
        headers.report.drop.reason = mirror.drop_reason;
        headers.report.drop.pad = 0;
        md_words = md_words + 1;
    }

    // What only a packet that came through a queue has to tell.
    action add_queueing() {
        headers.report.report.md_bits = headers.report.report.md_bits | REPORT_MD_LATENCY | REPORT_MD_QUEUE |
                                        REPORT_MD_EGRESS_TIME;
        headers.report.latency.setValid();
        headers.report.latency.latency = mirror.latency;
        headers.report.queue.setValid();
        headers.report.queue.queue = mirror.queue;
        headers.report.queue.occupancy = mirror.occupancy;
        headers.report.egress_time.setValid();
        headers.report.egress_time.time = egress.egress_time;
        md_words = md_words + 4;
    }

    action add_tokens() {
        headers.report.report.ds_md_bits = headers.report.report.ds_md_bits | REPORT_DS_TOKENS;
        headers.report.report.ds_md_status = (bit<16>)mirror.tokens.event;
        headers.report.tokens.setValid();
        headers.report.tokens.headers_time = mirror.tokens.headers_time;
        headers.report.tokens.first_token_time = mirror.tokens.first_token_time;
        headers.report.tokens.segments = mirror.tokens.segments;
        headers.report.tokens.gap_sum = mirror.tokens.gap_sum;
        headers.report.tokens.gap_max = mirror.tokens.gap_max;
        headers.report.tokens.gaps = mirror.tokens.gaps;
        md_words = md_words + 13;
    }

    // Lengths, and what carries the report. Group and individual header are 20 bytes.
    action address() {
        headers.report.report.md_length = md_words;
        headers.report.report.length = md_words + 2 + (bit<8>)(mirror.quoted_length >> 2);
        headers.report.udp.setValid();
        headers.report.udp.src_port = REPORT_SOURCE_PORT;
        headers.report.udp.dst_port = collector_port;
        headers.report.udp.length = 28 + ((bit<16>)md_words << 2) + mirror.quoted_length;
        headers.report.udp.checksum = 0;
        headers.report.ipv4.setValid();
        headers.report.ipv4.version = 4;
        headers.report.ipv4.ihl = 5;
        headers.report.ipv4.dscp = DSCP_OAM;
        headers.report.ipv4.ecn = 0;
        headers.report.ipv4.total_len = headers.report.udp.length + 20;
        headers.report.ipv4.identification = 0;
        headers.report.ipv4.reserved = 0;
        headers.report.ipv4.dont_fragment = 1;
        headers.report.ipv4.more_fragments = 0;
        headers.report.ipv4.fragment_offset = 0;
        headers.report.ipv4.ttl = HOP_LIMIT;
        headers.report.ipv4.protocol = PROTOCOL_UDP;
        headers.report.ipv4.src_addr = node_addr;
        headers.report.ipv4.dst_addr = collector_addr;
        // The one's complement sum of the header's words (RFC 1071). 9 of 16 bits: two folds are enough.
        sum = 32w0x4500 + ((bit<32>)DSCP_OAM << 2) + 32w0x4000 + ((bit<32>)HOP_LIMIT << 8) + (bit<32>)PROTOCOL_UDP +
              (bit<32>)headers.report.ipv4.total_len +
              (bit<32>)headers.report.ipv4.src_addr[31:16] + (bit<32>)headers.report.ipv4.src_addr[15:0] +
              (bit<32>)headers.report.ipv4.dst_addr[31:16] + (bit<32>)headers.report.ipv4.dst_addr[15:0];
        sum = (bit<32>)sum[31:16] + (bit<32>)sum[15:0];
        sum = (bit<32>)sum[31:16] + (bit<32>)sum[15:0];
        headers.report.ipv4.header_checksum = ~sum[15:0];
        headers.ethernet.setValid();
        headers.ethernet.dst_addr = 0;
        headers.ethernet.src_addr = 0;
        headers.ethernet.ether_type = ETHERTYPE_IPV4;
        headers.vlan.setInvalid();
        report.length = headers.report.ipv4.total_len;
        report.label = mirror.label;
        report.class_id = CLASS_REPORT | mirror.class_id;
    }

    apply {
        if (mirror.dropped == 1) {
            kind = REPORT_DROP;
        } else if (mirror.congested == 1) {
            kind = REPORT_CONGESTION;
        }
        report_sinks.apply();
        if (has_sink == 1) {
            report_sequence.apply(sink, sequence);
            if (headers.shadow.ipv6.isValid()) {
                headers.fabric = headers.shadow;
            }
            build();
            if (mirror.quoted_length != 0) {
                if (!headers.fabric.ipv6.isValid() && headers.ipv4.isValid()) {
                    headers.report.report.inner_type = REPORT_INNER_IPV4;
                } else {
                    headers.report.report.inner_type = REPORT_INNER_IPV6;
                }
            }
            if (mirror.dropped == 1) {
                add_drop();
            }
            if (mirror.congested == 1 || mirror.tracked == 1) {
                add_queueing();
            }
            if (mirror.tokens.event != TOKEN_NONE) {
                add_tokens();
            }
            address();
        }
    }
}

#endif  // DIN_REPORTS_P4_
