// SPDX-License-Identifier: Apache-2.0
// In-band telemetry: INT-MD of INT v2.1, as the last Geneve option (one option, so 31 words in all).
//
//   source    encapsulates a watched packet: puts the INT-MD header on, then does what every hop does
//   hop       pushes its words in front of the stack, exactly HopML of them or none. With no hops left: E.
//             Where they would not fit the link: M
//   sink      delivers: pushes nothing, its words are the metadata of its report (reports.p4)
//
//   links     egress port  -> MTU and logical port of the link that it leads to
//   arrivals  ingress port -> logical port
//   budgets   HopML -> hops whose words fit an option
//
// Words of instructions that are not known here are all ones, as the specification has it for what a node cannot tell:
// known instructions come first on the wire, so the unknown ones are padding behind them. A node that is not
// the sink leaves the stack unparsed, and pads with the headers that would hold it.

#ifndef DIN_INT_P4_
#define DIN_INT_P4_

#include "ids.p4"
#include "metadata.p4"

control Int(inout headers_t headers, in bridged_metadata_t bridged, in egress_metadata_t egress) {
    bit<16> link_mtu = 0;
    bit<32> ingress_l2_port = INT_UNKNOWN;
    bit<32> egress_l2_port = INT_UNKNOWN;
    bit<8>  budget = 0;
    bit<8>  hop_words = 0;     // HopML
    bit<8>  known_words = 0;   // of them, those of instructions that are understood
    bit<8>  option_words = 0;  // the option's length, once this hop has pushed
    bit<16> hop_bytes = 0;

    // `mtu` is in bytes of IP packet.
    @id(SET_LINK_ACTION_ID)
    action set_link(@id(1) bit<16> mtu, @id(2) bit<32> l2_port) {
        link_mtu = mtu;
        egress_l2_port = l2_port;
    }

    @id(LINKS_TABLE_ID)
    table links {
        key = {
            egress.egress_port : exact @id(1) @name("port");
        }
        actions = {
            set_link;
        }
        default_action = set_link(1500, INT_UNKNOWN);
        size = PORTS_SIZE;
    }

    @id(SET_ARRIVAL_ACTION_ID)
    action set_arrival(@id(1) bit<32> l2_port) {
        ingress_l2_port = l2_port;
    }

    @id(ARRIVALS_TABLE_ID)
    table arrivals {
        key = {
            bridged.ingress_port : exact @id(1) @name("port");
        }
        actions = {
            set_arrival;
        }
        default_action = set_arrival(INT_UNKNOWN);
        size = PORTS_SIZE;
    }

    @id(SET_BUDGET_ACTION_ID)
    action set_budget(@id(1) bit<8> hops) {
        budget = hops;
    }

    // 28 words / HopML: three of an option's 31 are the INT-MD header.
    @id(BUDGETS_TABLE_ID)
    table budgets {
        key = {
            bridged.int_hop_ml : range @id(1) @name("hop_ml");
        }
        actions = {
            set_budget;
        }
        const entries = {
            1        : set_budget(28);
            2        : set_budget(14);
            3        : set_budget(9);
            4        : set_budget(7);
            5        : set_budget(5);
            6 .. 7   : set_budget(4);
            8 .. 9   : set_budget(3);
            10 .. 14 : set_budget(2);
            15 .. 28 : set_budget(1);
        }
        const default_action = set_budget(0);
    }

    action start() {
        headers.fabric.int_md.setValid();
        headers.fabric.int_md.option_class = GENEVE_CLASS_INT;
        headers.fabric.int_md.type = GENEVE_TYPE_INT_MD;
        headers.fabric.int_md.reserved = 0;
        headers.fabric.int_md.length = INT_MD_WORDS;
        headers.fabric.int_md.version = INT_VERSION;
        headers.fabric.int_md.discard = 0;
        headers.fabric.int_md.exceeded = 0;
        headers.fabric.int_md.mtu_exceeded = 0;
        headers.fabric.int_md.reserved2 = 0;
        headers.fabric.int_md.hop_ml = bridged.int_hop_ml;
        headers.fabric.int_md.remaining_hops = bridged.int_hops;
        if (bridged.int_hops > budget) {
            headers.fabric.int_md.remaining_hops = budget;
        }
        headers.fabric.int_md.instructions = bridged.int_instructions;
        headers.fabric.int_md.domain = 0;
        headers.fabric.int_md.ds_instructions = 0;
        headers.fabric.int_md.ds_flags = 0;
        headers.fabric.geneve.opt_len = headers.fabric.geneve.opt_len + 1 + (bit<6>)INT_MD_WORDS;
        headers.fabric.udp.length = headers.fabric.udp.length + INT_OVERHEAD;
        headers.fabric.ipv6.payload_len = headers.fabric.ipv6.payload_len + INT_OVERHEAD;
    }

    action measure() {
        bit<16> instructions = headers.fabric.int_md.instructions;
        hop_words = (bit<8>)headers.fabric.int_md.hop_ml;
        hop_bytes = (bit<16>)headers.fabric.int_md.hop_ml << 2;
        option_words = (bit<8>)headers.fabric.int_md.length + hop_words;
        // Both times and the pair of logical ports are two words each.
        known_words = (bit<8>)instructions[15:15] + (bit<8>)instructions[14:14] + (bit<8>)instructions[13:13] +
                      (bit<8>)instructions[12:12] + (bit<8>)(instructions[11:11] ++ 1w0) +
                      (bit<8>)(instructions[10:10] ++ 1w0) + (bit<8>)(instructions[9:9] ++ 1w0) +
                      (bit<8>)instructions[8:8] + (bit<8>)instructions[7:7];
    }

    // The first nine instructions, in their order on the wire.
    action push_known() {
        if (headers.fabric.int_md.instructions[15:15] == 1) {
            headers.fabric.int_node_id.setValid();
            headers.fabric.int_node_id.node_id = egress.node_id;
        }
        if (headers.fabric.int_md.instructions[14:14] == 1) {
            headers.fabric.int_ports.setValid();
            headers.fabric.int_ports.ingress_port = (bit<16>)bridged.ingress_port;
            headers.fabric.int_ports.egress_port = (bit<16>)egress.egress_port;
        }
        if (headers.fabric.int_md.instructions[13:13] == 1) {
            headers.fabric.int_hop_latency.setValid();
            headers.fabric.int_hop_latency.latency = egress.hop_latency;
        }
        if (headers.fabric.int_md.instructions[12:12] == 1) {
            headers.fabric.int_queue.setValid();
            headers.fabric.int_queue.queue = bridged.queue;
            headers.fabric.int_queue.occupancy = egress.occupancy;
        }
        if (headers.fabric.int_md.instructions[11:11] == 1) {
            headers.fabric.int_ingress_time.setValid();
            headers.fabric.int_ingress_time.time = egress.ingress_time;
        }
        if (headers.fabric.int_md.instructions[10:10] == 1) {
            headers.fabric.int_egress_time.setValid();
            headers.fabric.int_egress_time.time = egress.egress_time;
        }
        if (headers.fabric.int_md.instructions[9:9] == 1) {
            headers.fabric.int_l2_ports.setValid();
            headers.fabric.int_l2_ports.ingress_port = ingress_l2_port;
            headers.fabric.int_l2_ports.egress_port = egress_l2_port;
        }
        // No target of ours tells these two.
        if (headers.fabric.int_md.instructions[8:8] == 1) {
            headers.fabric.int_tx_utilization.setValid();
            headers.fabric.int_tx_utilization.value = INT_UNKNOWN;
        }
        if (headers.fabric.int_md.instructions[7:7] == 1) {
            headers.fabric.int_buffer.setValid();
            headers.fabric.int_buffer.value = INT_UNKNOWN;
        }
    }

    action pad_quad(inout int_quad_t quad) {
        quad.setValid();
        quad.words = INT_UNKNOWN ++ INT_UNKNOWN ++ INT_UNKNOWN ++ INT_UNKNOWN;
    }
    action pad_word(inout int_word_t word) {
        word.setValid();
        word.word = INT_UNKNOWN;
    }
    action push_unknown(bit<8> words) {
        if (words >= 4) {
            pad_quad(headers.fabric.int_quads[0]);
        }
        if (words >= 8) {
            pad_quad(headers.fabric.int_quads[1]);
        }
        if (words >= 12) {
            pad_quad(headers.fabric.int_quads[2]);
        }
        if (words >= 16) {
            pad_quad(headers.fabric.int_quads[3]);
        }
        if (words >= 20) {
            pad_quad(headers.fabric.int_quads[4]);
        }
        if (words >= 24) {
            pad_quad(headers.fabric.int_quads[5]);
        }
        if (words >= 28) {
            pad_quad(headers.fabric.int_quads[6]);
        }
        if (words[1:0] >= 1) {
            pad_word(headers.fabric.int_words[0]);
        }
        if (words[1:0] >= 2) {
            pad_word(headers.fabric.int_words[1]);
        }
        if (words[1:0] == 3) {
            pad_word(headers.fabric.int_words[2]);
        }
    }

    action account() {
        headers.fabric.int_md.remaining_hops = headers.fabric.int_md.remaining_hops - 1;
        headers.fabric.int_md.length = (bit<5>)option_words;
        headers.fabric.geneve.opt_len = headers.fabric.geneve.opt_len + (bit<6>)hop_words;
        headers.fabric.udp.length = headers.fabric.udp.length + hop_bytes;
        headers.fabric.ipv6.payload_len = headers.fabric.ipv6.payload_len + hop_bytes;
    }

    apply {
        if ((bridged.verdict == VERDICT_ENCAPSULATE && bridged.int_instructions != 0) ||
            (bridged.verdict == VERDICT_TRANSIT && headers.fabric.int_md.isValid())) {
            links.apply();
            arrivals.apply();
            if (bridged.verdict == VERDICT_ENCAPSULATE) {
                // The first link may take more than the path does.
                if (link_mtu > bridged.mtu) {
                    link_mtu = bridged.mtu;
                }
                budgets.apply();
                if (budget != 0 && bridged.int_hops != 0 &&
                    headers.fabric.ipv6.payload_len <= link_mtu |-| (40 + INT_OVERHEAD)) {
                    start();
                }
            }
            measure();
            if (headers.fabric.int_md.isValid() && headers.fabric.int_md.version == INT_VERSION &&
                headers.fabric.int_md.length >= INT_MD_WORDS &&
                (bit<8>)headers.fabric.geneve.opt_len == (bit<8>)headers.fabric.int_md.length + 8 &&
                hop_words != 0 && hop_words >= known_words &&
                (hop_words == known_words ||
                 !(headers.fabric.int_quads[0].isValid() || headers.fabric.int_words[0].isValid()))) {
                if (headers.fabric.int_md.remaining_hops == 0 || option_words > GENEVE_OPTION_WORDS) {
                    headers.fabric.int_md.exceeded = 1;
                } else if (headers.fabric.ipv6.payload_len > link_mtu |-| (40 + hop_bytes)) {
                    headers.fabric.int_md.mtu_exceeded = 1;
                } else {
                    push_known();
                    if (hop_words != known_words) {
                        push_unknown(hop_words - known_words);
                    }
                    account();
                }
            }
        }
    }
}

#endif  // DIN_INT_P4_
