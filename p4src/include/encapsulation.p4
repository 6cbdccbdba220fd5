// SPDX-License-Identifier: Apache-2.0
// Egress: the one place where fabric headers are put on, taken off and changed.

#ifndef DIN_ENCAPSULATION_P4_
#define DIN_ENCAPSULATION_P4_

#include "ids.p4"
#include "metadata.p4"

// 64-bit time in ns: base + timestamp x unit. How good it is depends on the target: v1model counts us.
control Clock(in bridged_metadata_t bridged, inout egress_metadata_t egress) {
    // `source_address` is this node's, for packets of its own; `node_id` what INT and reports call it.
    @id(SET_CLOCK_ACTION_ID)
    action set_clock(@id(1) bit<64> base, @id(2) bit<32> unit, @id(3) bit<32> node_id) {
        egress.node_id = node_id;
        egress.ingress_time = base + (bit<64>)bridged.timestamp * (bit<64>)unit;
        egress.egress_time = base + (bit<64>)egress.timestamp * (bit<64>)unit;
    }

    @id(CLOCK_TABLE_ID)
    table clock {
        actions = {
            set_clock;
        }
        default_action = set_clock(0, 1000, 0);
    }

    apply {
        clock.apply();
        bit<64> latency = egress.egress_time - egress.ingress_time;
        if (latency[63:32] == 0) {
            egress.hop_latency = latency[31:0];
        } else {
            egress.hop_latency = INT_UNKNOWN;
        }
    }
}

control Encapsulation(inout headers_t headers, in bridged_metadata_t bridged, in egress_metadata_t egress) {
    action encapsulate(bit<128> source) {
        headers.fabric.ipv6.setValid();
        headers.fabric.ipv6.version = 6;
        headers.fabric.ipv6.ecn = 0;
        headers.fabric.ipv6.flow_label = (bit<20>)bridged.entropy;
        headers.fabric.ipv6.payload_len = bridged.ip_length + FABRIC_OVERHEAD - 40;
        headers.fabric.ipv6.next_header = PROTOCOL_UDP;
        headers.fabric.ipv6.hop_limit = HOP_LIMIT;
        headers.fabric.ipv6.src_addr = source;
        headers.fabric.ipv6.dst_addr = bridged.segments;
        headers.fabric.udp.setValid();
        headers.fabric.udp.src_port = bridged.entropy;
        headers.fabric.udp.dst_port = UDP_PORT_GENEVE;
        headers.fabric.udp.length = bridged.ip_length + FABRIC_OVERHEAD - 40;
        headers.fabric.udp.checksum = 0;
        headers.fabric.geneve.setValid();
        headers.fabric.geneve.version = 0;
        headers.fabric.geneve.opt_len = 7;
        headers.fabric.geneve.oam = 0;
        headers.fabric.geneve.critical = 0;
        headers.fabric.geneve.reserved = 0;
        headers.fabric.geneve.vni = (bit<24>)bridged.tenant;
        headers.fabric.geneve.reserved2 = 0;
        headers.fabric.din.setValid();
        headers.fabric.din.option_class = GENEVE_CLASS_DIN;
        headers.fabric.din.type = GENEVE_TYPE_DIN;
        headers.fabric.din.reserved = 0;
        headers.fabric.din.length = 6;
        headers.fabric.din.version = DIN_VERSION;
        headers.fabric.din.class_id = (bit<4>)bridged.class_id;
        headers.fabric.din.label = bridged.label;
        headers.fabric.din.response = bridged.response;
        headers.fabric.din.watched = bridged.watched;
        headers.fabric.din.late_drop = bridged.late_drop;
        headers.fabric.din.marked = 0;
        headers.fabric.din.reserved2 = 0;
        headers.fabric.din.reserved3 = 0;
        headers.fabric.din.service = bridged.service;
        headers.fabric.din.session = bridged.session;
        headers.fabric.din.flow_hash = bridged.flow_hash;
        headers.fabric.din.ingress_time = egress.ingress_time;
    }

    apply {
        if (bridged.verdict == VERDICT_ENCAPSULATE) {
            // The source tells the node that encapsulated: block, zeroes, node ID.
            encapsulate(SID_BLOCK ++ 64w0 ++ egress.node_id);
            if (headers.ipv4.isValid()) {
                headers.fabric.geneve.protocol_type = ETHERTYPE_IPV4;
                headers.fabric.ipv6.dscp = headers.ipv4.dscp;
                headers.fabric.ipv6.ecn = headers.ipv4.ecn;
            } else {
                headers.fabric.geneve.protocol_type = ETHERTYPE_IPV6;
                headers.fabric.ipv6.dscp = headers.ipv6.dscp;
                headers.fabric.ipv6.ecn = headers.ipv6.ecn;
            }
            headers.ethernet.ether_type = ETHERTYPE_IPV6;
            headers.vlan.setInvalid();
        } else if (bridged.verdict == VERDICT_TRANSIT) {
            headers.fabric.ipv6.dst_addr = bridged.segments;
            headers.fabric.ipv6.hop_limit = headers.fabric.ipv6.hop_limit - 1;
        }
        if (headers.fabric.din.isValid()) {
            headers.fabric.din.marked = headers.fabric.din.marked | bridged.marked;
        }
    }
}

// Takes the fabric headers off. The sink keeps what it will report in `shadow`.
control Decapsulation(inout headers_t headers, in bridged_metadata_t bridged, in egress_metadata_t egress) {
    apply {
        if (bridged.verdict == VERDICT_DELIVER) {
            if (egress.tracked == 1 || egress.congested == 1 || egress.drop_reason != DROP_NONE) {
                headers.shadow = headers.fabric;
            }
            headers.fabric.ipv6.setInvalid();
            headers.fabric.srh.setInvalid();
            headers.fabric.segments[0].setInvalid();
            headers.fabric.segments[1].setInvalid();
            headers.fabric.segments[2].setInvalid();
            headers.fabric.segments[3].setInvalid();
            headers.fabric.udp.setInvalid();
            headers.fabric.geneve.setInvalid();
            headers.fabric.din.setInvalid();
            headers.fabric.int_md.setInvalid();
            headers.fabric.int_node_id.setInvalid();
            headers.fabric.int_ports.setInvalid();
            headers.fabric.int_hop_latency.setInvalid();
            headers.fabric.int_queue.setInvalid();
            headers.fabric.int_ingress_time.setInvalid();
            headers.fabric.int_egress_time.setInvalid();
            headers.fabric.int_l2_ports.setInvalid();
            headers.fabric.int_tx_utilization.setInvalid();
            headers.fabric.int_buffer.setInvalid();
            headers.fabric.int_quads[0].setInvalid();
            headers.fabric.int_quads[1].setInvalid();
            headers.fabric.int_quads[2].setInvalid();
            headers.fabric.int_quads[3].setInvalid();
            headers.fabric.int_quads[4].setInvalid();
            headers.fabric.int_quads[5].setInvalid();
            headers.fabric.int_quads[6].setInvalid();
            headers.fabric.int_words[0].setInvalid();
            headers.fabric.int_words[1].setInvalid();
            headers.fabric.int_words[2].setInvalid();
        }
    }
}

// The link's header. Only after everything that looks at the one that came in.
control Link(inout headers_t headers, in bridged_metadata_t bridged) {
    apply {
        if (bridged.verdict != VERDICT_DIRECT && bridged.verdict != VERDICT_PUNT) {
            headers.ethernet.dst_addr = bridged.dst_mac;
            headers.ethernet.src_addr = bridged.src_mac;
        }
        if (bridged.verdict == VERDICT_DELIVER) {
            if (headers.ipv4.isValid()) {
                headers.ethernet.ether_type = ETHERTYPE_IPV4;
            } else {
                headers.ethernet.ether_type = ETHERTYPE_IPV6;
            }
            if (bridged.vid == 0) {
                headers.vlan.setInvalid();
            } else {
                headers.vlan.setValid();
                headers.vlan.pcp = 0;
                headers.vlan.dei = 0;
                headers.vlan.vid = bridged.vid;
                headers.vlan.ether_type = headers.ethernet.ether_type;
                headers.ethernet.ether_type = ETHERTYPE_VLAN;
            }
        }
    }
}

#endif  // DIN_ENCAPSULATION_P4_
