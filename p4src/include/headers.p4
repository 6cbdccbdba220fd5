// SPDX-License-Identifier: Apache-2.0
// Headers, in the order in which they are on the wire.
//
//   access:  Ethernet [802.1Q] tenant packet
//   fabric:  Ethernet IPv6 [SRH] UDP Geneve{DIN option [INT option]} tenant packet
//   report:  Ethernet IPv4 UDP report group, individual report, [fabric headers] tenant packet, cut short
//
// A tenant packet has the same headers wherever it is: encapsulation makes `fabric` valid, decapsulation invalid.

#ifndef DIN_HEADERS_P4_
#define DIN_HEADERS_P4_

#include "constants.p4"
#include "sizes.p4"

@controller_header("packet_in")
header packet_in_header_t {
    @id(1) bit<16> ingress_port;
    @id(2) bit<8>  reason;        // punt_reason_t
    @id(3) bit<8>  label;         // not 0: only the headers of the packet follow
    @id(4) bit<16> mtu;           // PUNT_TOO_BIG: what would have fitted
    @id(5) bit<16> tenant;
}

@controller_header("packet_out")
header packet_out_header_t {
    // To this port as it is, or, with `submit_to_ingress`, routed by its destination as this tenant's.
    @id(1) bit<16> port;
    @id(2) bit<8>  submit_to_ingress;
    @id(3) bit<16> tenant;
    // Of the port, for a packet that goes as it is. To the CPU port it comes back as a packet-in: a controller
    // finds out so which queues a switch has.
    @id(4) bit<8>  queue;
}

header ethernet_t {
    mac_addr_t dst_addr;
    mac_addr_t src_addr;
    bit<16>    ether_type;
}

header vlan_t {
    bit<3>  pcp;
    bit<1>  dei;
    bit<12> vid;
    bit<16> ether_type;
}

header arp_t {
    bit<16>    hardware_type;
    bit<16>    protocol_type;
    bit<8>     hardware_length;
    bit<8>     protocol_length;
    bit<16>    operation;
    mac_addr_t sender_mac;
    bit<32>    sender_ip;
    mac_addr_t target_mac;
    bit<32>    target_ip;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<6>  dscp;
    bit<2>  ecn;
    bit<16> total_len;
    bit<16> identification;
    bit<1>  reserved;
    bit<1>  dont_fragment;
    bit<1>  more_fragments;
    bit<13> fragment_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> header_checksum;
    bit<32> src_addr;
    bit<32> dst_addr;
}

header ipv6_t {
    bit<4>   version;
    bit<6>   dscp;
    bit<2>   ecn;
    bit<20>  flow_label;
    bit<16>  payload_len;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> src_addr;
    bit<128> dst_addr;
}

// A Destination Options header that holds the DIN option and nothing else: docs/wire-format.md.
header host_option_t {
    bit<8>  next_header;
    bit<8>  ext_len;
    bit<8>  option_type;
    bit<8>  option_length;
    bit<4>  version;
    bit<4>  class_id;
    bit<8>  label;
    bit<8>  key_id;
    bit<8>  epoch;
    bit<16> tenant;
    bit<16> service;
    bit<16> instance;     // instance and session are the session cookie; 0: none
    bit<16> session;
    bit<32> deadline;     // us; 0: none
    bit<32> tag;
}

// RFC 8754. At most SRH_SEGMENTS segments and no TLVs; any other stays with the payload.
header srh_t {
    bit<8>  next_header;
    bit<8>  ext_len;
    bit<8>  routing_type;
    bit<8>  segments_left;
    bit<8>  last_entry;
    bit<8>  flags;
    bit<16> tag;
}

header srv6_segment_t {
    bit<128> sid;
}

header fragment_t {
    bit<8>  next_header;
    bit<8>  reserved;
    bit<13> offset;
    bit<2>  reserved2;
    bit<1>  more;
    bit<32> identification;
}

header tcp_t {
    bit<16> src_port;
    bit<16> dst_port;
    bit<32> seq_no;
    bit<32> ack_no;
    bit<4>  data_offset;
    bit<4>  reserved;
    bit<8>  flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

// The maximum segment size (RFC 9293, 3.2), only as the first option of a SYN.
header tcp_mss_t {
    bit<8>  kind;
    bit<8>  length;
    bit<16> mss;
}

header udp_t {
    bit<16> src_port;
    bit<16> dst_port;
    bit<16> length;
    bit<16> checksum;
}

// ICMP and ICMPv6, up to and with the four bytes whose meaning depends on the type.
header icmp_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
    bit<32> rest;
}

header nd_target_t {
    bit<128> address;
}

// Link-layer address or nonce: the options of a neighbour solicitation are all 8 bytes.
header nd_option_t {
    bit<8>     type;
    bit<8>     length;
    mac_addr_t value;
}

// First bytes of a TCP or UDP header that an ICMP error quotes.
header ports_t {
    bit<16> src_port;
    bit<16> dst_port;
}

// RFC 8926.
header geneve_t {
    bit<2>  version;
    bit<6>  opt_len;      // words
    bit<1>  oam;
    bit<1>  critical;
    bit<6>  reserved;
    bit<16> protocol_type;
    bit<24> vni;          // tenant
    bit<8>  reserved2;
}

// docs/wire-format.md.
header din_option_t {
    bit<16> option_class;
    bit<8>  type;
    bit<3>  reserved;
    bit<5>  length;       // words: 6
    bit<4>  version;
    bit<4>  class_id;
    bit<8>  label;
    bit<1>  response;
    bit<1>  watched;
    bit<1>  late_drop;    // may be dropped once its slack is gone
    bit<1>  marked;       // out of profile, yet let through
    bit<4>  reserved2;
    bit<8>  reserved3;
    bit<16> service;
    bit<16> session;
    bit<32> slack;        // us that remain; top bit set: no deadline
    bit<32> flow_hash;
    bit<64> ingress_time; // ns, the ingress leaf's clock
}

// Geneve option and INT-MD header (INT v2.1, 5.7.4 and 5.8) in one: they come and go together.
header int_md_t {
    bit<16> option_class;
    bit<8>  type;
    bit<3>  reserved;
    bit<5>  length;       // words after the first
    bit<4>  version;
    bit<1>  discard;
    bit<1>  exceeded;
    bit<1>  mtu_exceeded;
    bit<12> reserved2;
    bit<5>  hop_ml;       // words
    bit<8>  remaining_hops;
    bit<16> instructions;
    bit<16> domain;
    bit<16> ds_instructions;
    bit<16> ds_flags;
}

// What one hop pushes, by instruction bit.
header int_node_id_t      { bit<32> node_id; }
header int_ports_t        { bit<16> ingress_port; bit<16> egress_port; }
header int_hop_latency_t  { bit<32> latency; }
header int_queue_t        { bit<8> queue; bit<24> occupancy; }
header int_ingress_time_t { bit<64> time; }
header int_egress_time_t  { bit<64> time; }
header int_l2_ports_t     { bit<32> ingress_port; bit<32> egress_port; }
header int_unknown_t      { bit<32> value; }

// The stack of earlier hops, which only the last node parses: by fours, then what is left.
header int_quad_t { bit<128> words; }
header int_word_t { bit<32> word; }

// Telemetry Report v2.0: group header and individual report header.
header report_group_t {
    bit<4>  version;
    bit<6>  hw_id;
    bit<22> sequence;
    bit<32> node_id;
}

header report_t {
    bit<4>  type;
    bit<4>  inner_type;
    bit<8>  length;
    bit<8>  md_length;
    bit<1>  dropped;
    bit<1>  congested;
    bit<1>  tracked;
    bit<1>  intermediate;
    bit<4>  reserved;
    bit<16> md_bits;
    bit<16> domain;
    bit<16> ds_md_bits;
    bit<16> ds_md_status;
}

// Baseline metadata, in the order of their bits.
header report_ports_t   { bit<16> ingress_port; bit<16> egress_port; }
header report_latency_t { bit<32> latency; }
header report_queue_t   { bit<8> queue; bit<24> occupancy; }
header report_ingress_time_t { bit<64> time; }
header report_egress_time_t  { bit<64> time; }
header report_drop_t    { bit<8> queue; bit<8> reason; bit<16> pad; }

// Domain-specific metadata of every report of ours: what the traffic is.
header report_traffic_t {
    bit<16> tenant;
    bit<16> service;
    bit<16> instance;
    bit<8>  label;
    bit<8>  class_id;
    bit<32> flow_hash;
}

// Domain-specific metadata of a watched connection: one request and its response. Times in us.
header report_tokens_t {
    bit<32> headers_time;     // last request payload to first response payload
    bit<32> first_token_time; // last request payload to second response payload
    bit<32> segments;         // response payloads after the first
    bit<32> gap_sum;
    bit<32> gap_max;
    bit<256> gaps;            // 16 counters of 16 bits, the lowest first in the low bits: see tokens.p4
}

struct fabric_headers_t {
    ipv6_t         ipv6;
    srh_t          srh;
    srv6_segment_t[SRH_SEGMENTS] segments;
    udp_t          udp;
    geneve_t       geneve;
    din_option_t   din;
    int_md_t       int_md;
    // This node's own, in front of the stack.
    int_node_id_t      int_node_id;
    int_ports_t        int_ports;
    int_hop_latency_t  int_hop_latency;
    int_queue_t        int_queue;
    int_ingress_time_t int_ingress_time;
    int_egress_time_t  int_egress_time;
    int_l2_ports_t     int_l2_ports;
    int_unknown_t      int_tx_utilization;
    int_unknown_t      int_buffer;
    int_quad_t[7]  int_quads;
    int_word_t[3]  int_words;
}

struct report_headers_t {
    ipv4_t           ipv4;
    udp_t            udp;
    report_group_t   group;
    report_t         report;
    report_ports_t   ports;
    report_latency_t latency;
    report_queue_t   queue;
    report_ingress_time_t ingress_time;
    report_egress_time_t  egress_time;
    report_drop_t    drop;
    report_traffic_t traffic;
    report_tokens_t  tokens;
}

struct headers_t {
    packet_in_header_t  packet_in;
    packet_out_header_t packet_out;
    ethernet_t     ethernet;
    vlan_t         vlan;
    report_headers_t report;
    fabric_headers_t fabric;
    // What the sink took off, kept for its report and never emitted.
    fabric_headers_t shadow;
    arp_t          arp;
    ipv4_t         ipv4;
    ipv6_t         ipv6;
    host_option_t  host_option;
    srh_t          srh;
    srv6_segment_t[SRH_SEGMENTS] segments;
    fragment_t     fragment;
    tcp_t          tcp;
    tcp_mss_t      tcp_mss;
    udp_t          udp;
    icmp_t         icmp;
    nd_target_t    nd_target;
    nd_option_t[2] nd_options;
    ipv4_t         quoted_ipv4;
    ipv6_t         quoted_ipv6;
    ports_t        quoted_ports;
}

#endif  // DIN_HEADERS_P4_
