// SPDX-License-Identifier: Apache-2.0
// One parser for every role.
//
//   Ethernet -+- ARP                      +---------------------------------------+
//             +- 802.1Q --+               |                                       v
//             +-----------+- IPv4, IPv6 --|-> IPv6 extensions -> TCP, UDP, ICMP(v6) -> quoted IP
//             +- IPv6 to the SID block -> [SRH] UDP Geneve DIN [INT] -+
//
// Only an address in the SID block makes fabric headers: a tenant's own Geneve is payload. Whether the port may
// send such a packet is for Ports to say; no table is known here. Headers that are not understood end the
// parse: they are payload. A packet that ends within a header is an error, which the target reports.

#ifndef DIN_PARSER_P4_
#define DIN_PARSER_P4_

#include "metadata.p4"

parser PacketParser(packet_in packet, inout headers_t headers, inout ingress_metadata_t ingress) {
    state start {
        packet.extract(headers.ethernet);
        transition select(headers.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV6: parse_fabric_or_tenant;
            default: parse_ether_type;
        }
    }

    state parse_vlan {
        packet.extract(headers.vlan);
        transition select(headers.vlan.ether_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_ARP: parse_arp;
            default: accept;
        }
    }

    state parse_ether_type {
        transition select(headers.ethernet.ether_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_ARP: parse_arp;
            default: accept;
        }
    }

    state parse_arp {
        packet.extract(headers.arp);
        transition accept;
    }

    // ---- fabric headers --------------------------------------------------------------------------------

    state parse_fabric_or_tenant {
        // The first 32 bits of the destination address, after 8 bytes and the source.
        transition select(packet.lookahead<bit<224>>()[31:0]) {
            SID_BLOCK: parse_fabric;
            default: parse_ipv6;
        }
    }

    state parse_fabric {
        packet.extract(headers.fabric.ipv6);
        transition select(headers.fabric.ipv6.version, headers.fabric.ipv6.next_header) {
            (6, PROTOCOL_UDP): parse_fabric_udp;
            (6, PROTOCOL_ROUTING): parse_fabric_srh;
            default: accept;
        }
    }

    state parse_fabric_srh {
        packet.extract(headers.fabric.srh);
        // Two words of 8 bytes a segment; the last entry counts from 0.
        transition select(headers.fabric.srh.routing_type, headers.fabric.srh.ext_len,
                          headers.fabric.srh.last_entry) {
            (SRH_ROUTING_TYPE, 2, 0): parse_fabric_segments_1;
            (SRH_ROUTING_TYPE, 4, 1): parse_fabric_segments_2;
            (SRH_ROUTING_TYPE, 6, 2): parse_fabric_segments_3;
            (SRH_ROUTING_TYPE, 8, 3): parse_fabric_segments_4;
            default: accept;
        }
    }
    state parse_fabric_segments_4 {
        packet.extract(headers.fabric.segments.next);
        transition parse_fabric_segments_3;
    }
    state parse_fabric_segments_3 {
        packet.extract(headers.fabric.segments.next);
        transition parse_fabric_segments_2;
    }
    state parse_fabric_segments_2 {
        packet.extract(headers.fabric.segments.next);
        transition parse_fabric_segments_1;
    }
    state parse_fabric_segments_1 {
        packet.extract(headers.fabric.segments.next);
        transition select(headers.fabric.srh.next_header) {
            PROTOCOL_UDP: parse_fabric_udp;
            default: accept;
        }
    }

    state parse_fabric_udp {
        packet.extract(headers.fabric.udp);
        transition select(headers.fabric.udp.dst_port) {
            UDP_PORT_GENEVE: parse_geneve;
            default: accept;
        }
    }

    state parse_geneve {
        packet.extract(headers.fabric.geneve);
        // Version 0, not OAM; the DIN option is the first, INT the last, and there is no third.
        transition select(headers.fabric.geneve.version, headers.fabric.geneve.oam,
                          headers.fabric.geneve.opt_len) {
            (0, 0, 7 .. 63): parse_din_option;
            default: accept;
        }
    }

    state parse_din_option {
        transition select(packet.lookahead<bit<36>>()) {
            GENEVE_CLASS_DIN ++ GENEVE_TYPE_DIN ++ 8w6 ++ DIN_VERSION: parse_din_option_body;
            default: accept;
        }
    }
    state parse_din_option_body {
        packet.extract(headers.fabric.din);
        transition select(headers.fabric.geneve.opt_len) {
            7: parse_end_of_options;
            11 .. 39: parse_int_option;
            default: accept;
        }
    }

    state parse_int_option {
        // What is left of the options must be the INT option: `length` and `opt_len` agree.
        transition select(packet.lookahead<bit<24>>()) {
            GENEVE_CLASS_INT ++ GENEVE_TYPE_INT_MD: parse_int_option_body;
            default: accept;
        }
    }
    state parse_int_option_body {
        packet.extract(headers.fabric.int_md);
        ingress.stack_words = (bit<8>)headers.fabric.int_md.length - 3;
        transition select((bit<8>)headers.fabric.geneve.opt_len - (bit<8>)headers.fabric.int_md.length) {
            8: parse_end_of_options;
            default: parse_int_mismatch;
        }
    }
    state parse_int_mismatch {
        // Not as we read it: nothing behind it is understood either.
        ingress.stack_words = 0;
        transition accept;
    }

    // A node that is not the last leaves the stack alone and inserts in front of it. It is the last when no more
    // than two IDs are left: the leaf's own and its function.
    state parse_end_of_options {
        transition select(headers.fabric.ipv6.dst_addr[63:48]) {
            0: parse_int_stack;
            default: accept;
        }
    }
    state parse_int_stack {
        transition select(ingress.stack_words) {
            0: parse_inner;
            1 .. 3: parse_int_word;
            4 .. 28: parse_int_quad;
            default: accept;
        }
    }
    state parse_int_quad {
        packet.extract(headers.fabric.int_quads.next);
        ingress.stack_words = ingress.stack_words - 4;
        transition parse_int_stack;
    }
    state parse_int_word {
        packet.extract(headers.fabric.int_words.next);
        ingress.stack_words = ingress.stack_words - 1;
        transition parse_int_stack;
    }
    state parse_inner {
        transition select(headers.fabric.geneve.protocol_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default: accept;
        }
    }

    // ---- tenant packet ---------------------------------------------------------------------------------

    state parse_ipv4 {
        packet.extract(headers.ipv4);
        // Behind options, and in later fragments, nothing is understood.
        transition select(headers.ipv4.version, headers.ipv4.ihl, headers.ipv4.fragment_offset,
                          headers.ipv4.protocol) {
            (4, 5, 0, PROTOCOL_TCP): parse_tcp;
            (4, 5, 0, PROTOCOL_UDP): parse_udp;
            (4, 5, 0, PROTOCOL_ICMP): parse_icmp;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(headers.ipv6);
        transition select(headers.ipv6.version, headers.ipv6.next_header) {
            (6, PROTOCOL_TCP): parse_tcp;
            (6, PROTOCOL_UDP): parse_udp;
            (6, PROTOCOL_ICMPV6): parse_icmpv6;
            (6, PROTOCOL_DSTOPTS): parse_destination_options;
            (6, PROTOCOL_ROUTING): parse_srh;
            (6, PROTOCOL_FRAGMENT): parse_fragment;
            default: accept;
        }
    }

    state parse_destination_options {
        // Extension length, option type, option length, version.
        transition select(packet.lookahead<bit<36>>()[27:0]) {
            DIN_OPTION_EXT_LEN ++ DIN_OPTION_TYPE ++ DIN_OPTION_LENGTH ++ DIN_VERSION: parse_host_option;
            default: accept;
        }
    }
    state parse_host_option {
        packet.extract(headers.host_option);
        transition select(headers.host_option.next_header) {
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_ICMPV6: parse_icmpv6;
            PROTOCOL_ROUTING: parse_srh;
            PROTOCOL_FRAGMENT: parse_fragment;
            default: accept;
        }
    }

    state parse_srh {
        // Extension length, routing type, segments left, last entry.
        transition select(packet.lookahead<bit<40>>()[31:16], packet.lookahead<bit<40>>()[7:0]) {
            (0x02_04, 0): parse_segments_1;
            (0x04_04, 1): parse_segments_2;
            (0x06_04, 2): parse_segments_3;
            (0x08_04, 3): parse_segments_4;
            default: accept;
        }
    }
    state parse_segments_1 {
        packet.extract(headers.srh);
        packet.extract(headers.segments.next);
        transition parse_after_srh;
    }
    state parse_segments_2 {
        packet.extract(headers.srh);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        transition parse_after_srh;
    }
    state parse_segments_3 {
        packet.extract(headers.srh);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        transition parse_after_srh;
    }
    state parse_segments_4 {
        packet.extract(headers.srh);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        packet.extract(headers.segments.next);
        transition parse_after_srh;
    }
    state parse_after_srh {
        transition select(headers.srh.next_header) {
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_ICMPV6: parse_icmpv6;
            PROTOCOL_FRAGMENT: parse_fragment;
            default: accept;
        }
    }

    state parse_fragment {
        packet.extract(headers.fragment);
        transition select(headers.fragment.offset, headers.fragment.next_header) {
            (0, PROTOCOL_TCP): parse_tcp;
            (0, PROTOCOL_UDP): parse_udp;
            (0, PROTOCOL_ICMPV6): parse_icmpv6;
            default: accept;
        }
    }

    state parse_tcp {
        packet.extract(headers.tcp);
        transition select(headers.tcp.data_offset, headers.tcp.flags) {
            (6 .. 15, TCP_SYN &&& TCP_SYN): parse_tcp_options;
            default: accept;
        }
    }
    state parse_tcp_options {
        transition select(packet.lookahead<bit<16>>()) {
            0x02_04: parse_tcp_mss;
            default: accept;
        }
    }
    state parse_tcp_mss {
        packet.extract(headers.tcp_mss);
        transition accept;
    }

    state parse_udp {
        packet.extract(headers.udp);
        transition accept;
    }

    // ---- ICMP, and what it quotes ----------------------------------------------------------------------

    state parse_icmp {
        packet.extract(headers.icmp);
        transition select(headers.icmp.type) {
            ICMP_UNREACHABLE: parse_quoted_ipv4;
            ICMP_TIME_EXCEEDED: parse_quoted_ipv4;
            ICMP_PARAMETER: parse_quoted_ipv4;
            default: accept;
        }
    }
    state parse_quoted_ipv4 {
        packet.extract(headers.quoted_ipv4);
        transition select(headers.quoted_ipv4.version, headers.quoted_ipv4.ihl,
                          headers.quoted_ipv4.fragment_offset, headers.quoted_ipv4.protocol) {
            (4, 5, 0, PROTOCOL_TCP): parse_quoted_ports;
            (4, 5, 0, PROTOCOL_UDP): parse_quoted_ports;
            default: accept;
        }
    }

    state parse_icmpv6 {
        packet.extract(headers.icmp);
        transition select(headers.icmp.type) {
            ICMPV6_UNREACHABLE: parse_quoted_ipv6;
            ICMPV6_TOO_BIG: parse_quoted_ipv6;
            ICMPV6_TIME_EXCEEDED: parse_quoted_ipv6;
            ICMPV6_PARAMETER: parse_quoted_ipv6;
            ICMPV6_SOLICITATION: parse_nd_target;
            default: accept;
        }
    }
    state parse_quoted_ipv6 {
        packet.extract(headers.quoted_ipv6);
        transition select(headers.quoted_ipv6.next_header) {
            PROTOCOL_TCP: parse_quoted_ports;
            PROTOCOL_UDP: parse_quoted_ports;
            default: accept;
        }
    }
    state parse_quoted_ports {
        packet.extract(headers.quoted_ports);
        transition accept;
    }

    state parse_nd_target {
        packet.extract(headers.nd_target);
        // A link-layer address, a nonce (RFC 7527, which Linux sends), or both.
        transition select(headers.ipv6.payload_len) {
            32: parse_nd_option;
            40: parse_nd_options;
            default: accept;
        }
    }
    state parse_nd_options {
        packet.extract(headers.nd_options.next);
        transition parse_nd_option;
    }
    state parse_nd_option {
        packet.extract(headers.nd_options.next);
        transition accept;
    }
}

#endif  // DIN_PARSER_P4_
