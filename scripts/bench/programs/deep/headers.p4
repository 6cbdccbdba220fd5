// SPDX-License-Identifier: Apache-2.0
//
// Headers and metadata of deep.p4.

#ifndef DEEP_HEADERS
#define DEEP_HEADERS

typedef bit<9>  port_id_t;
typedef bit<48> mac_t;
typedef bit<32> next_id_t;
typedef bit<4>  slice_t;
typedef bit<2>  class_t;

const bit<16> TYPE_VLAN = 0x8100;
const bit<16> TYPE_QINQ = 0x88a8;
const bit<16> TYPE_MPLS = 0x8847;
const bit<16> TYPE_IPV4 = 0x0800;
const bit<16> TYPE_IPV6 = 0x86dd;
const bit<8>  PROTOCOL_TCP = 6;
const bit<8>  PROTOCOL_UDP = 17;
const bit<8>  PROTOCOL_ICMP = 1;
const bit<16> PORT_VXLAN = 4789;
const port_id_t PORT_CPU = 255;

const bit<3> FORWARD_BRIDGE = 0;
const bit<3> FORWARD_MPLS = 1;
const bit<3> FORWARD_IPV4 = 2;
const bit<3> FORWARD_IPV6 = 3;

header ethernet_t {
    mac_t   destination;
    mac_t   source;
    bit<16> type;
}

header vlan_t {
    bit<3>  priority;
    bit<1>  drop_eligible;
    bit<12> id;
    bit<16> type;
}

header mpls_t {
    bit<20> label;
    bit<3>  traffic_class;
    bit<1>  bottom;
    bit<8>  ttl;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<6>  dscp;
    bit<2>  ecn;
    bit<16> length;
    bit<16> identification;
    bit<3>  flags;
    bit<13> fragment;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header ipv6_t {
    bit<4>   version;
    bit<6>   dscp;
    bit<2>   ecn;
    bit<20>  flow_label;
    bit<16>  length;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> source;
    bit<128> destination;
}

header tcp_t {
    bit<16> source;
    bit<16> destination;
    bit<32> sequence;
    bit<32> acknowledgement;
    bit<4>  offset;
    bit<4>  reserved;
    bit<8>  flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

header udp_t {
    bit<16> source;
    bit<16> destination;
    bit<16> length;
    bit<16> checksum;
}

header icmp_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
}

header vxlan_t {
    bit<8>  flags;
    bit<24> reserved;
    bit<24> vni;
    bit<8>  reserved2;
}

// What a transit node adds for in-band telemetry.
header hop_t {
    bit<32> node;
    bit<16> ingress_port;
    bit<16> egress_port;
    bit<8>  queue;
    bit<24> depth;
    bit<32> latency;
    bit<48> time;
}

@controller_header("packet_in")
header packet_in_t {
    port_id_t ingress_port;
    bit<7>    reserved;
}

@controller_header("packet_out")
header packet_out_t {
    port_id_t egress_port;
    bit<7>    reserved;
}

struct headers_t {
    packet_out_t packet_out;
    packet_in_t  packet_in;
    ethernet_t   ethernet;
    vlan_t       vlan;
    vlan_t       inner_vlan;
    mpls_t       mpls;
    ipv4_t       ipv4;
    ipv6_t       ipv6;
    tcp_t        tcp;
    udp_t        udp;
    icmp_t       icmp;
    vxlan_t      vxlan;
    hop_t        hop;
    ethernet_t   inner_ethernet;
    ipv4_t       inner_ipv4;
    tcp_t        inner_tcp;
    udp_t        inner_udp;
}

struct metadata_t {
    // found by the parser
    bit<16> last_type;
    bit<8>  protocol;
    bit<16> l4_source;
    bit<16> l4_destination;
    bit<8>  icmp_type;
    bit<8>  icmp_code;
    bit<32> ipv4_source;
    bit<32> ipv4_destination;
    // decided in ingress
    bit<2>    port_type;
    bit<8>    zone;
    bit<12>   vlan_id;
    bit<16>   vrf;
    bit<16>   tenant;
    bit<3>    forwarding;
    bit<1>    terminated;
    bit<1>    skip_forwarding;
    bit<1>    skip_next;
    bit<1>    is_multicast;
    bit<1>    source_seen;
    bit<1>    watched;
    bit<1>    punt;
    bit<16>   source_group;
    bit<16>   destination_group;
    next_id_t next_id;
    bit<20>   mpls_label;
    bit<16>   tunnel_id;
    slice_t   slice;
    class_t   class;
    bit<2>    colour;
    bit<8>    queue;
    bit<16>   flow_hash;
    bit<16>   mtu;
    bit<8>    latency_bucket;
    port_id_t ingress_port;
}

#endif
