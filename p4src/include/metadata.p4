// SPDX-License-Identifier: Apache-2.0
// What controls tell each other. Three structs, because a target may keep only one of them between ingress and
// egress: ingress controls write `bridged`, egress controls read it and nothing else of ingress. What a clone
// knows of the packet it was made from is `mirror`.

#ifndef DIN_METADATA_P4_
#define DIN_METADATA_P4_

#include "headers.p4"

// ---- Roles of a port -----------------------------------------------------------------------------------

typedef bit<3> port_role_t;
const port_role_t ROLE_NONE     = 0;  // not configured: everything is dropped
const port_role_t ROLE_ACCESS   = 1;  // hosts: nothing is believed
const port_role_t ROLE_FABRIC   = 2;  // another switch of ours: fabric headers are honoured
const port_role_t ROLE_CPU      = 3;  // the controller
const port_role_t ROLE_REPORT   = 4;  // our own reports, coming round again

// ---- Where a packet goes -------------------------------------------------------------------------------

typedef bit<3> verdict_t;
const verdict_t VERDICT_NONE     = 0;  // not decided yet
const verdict_t VERDICT_REPLY    = 1;  // back where it came from, rewritten (ARP, ND, echo)
const verdict_t VERDICT_TRANSIT  = 2;  // stays encapsulated
const verdict_t VERDICT_ENCAPSULATE = 3;
const verdict_t VERDICT_DELIVER  = 4;  // to a local function, without fabric headers
const verdict_t VERDICT_DIRECT   = 5;  // from the controller to a port, as it is
const verdict_t VERDICT_PUNT     = 6;  // to the controller

typedef bit<2> direction_t;
const direction_t DIRECTION_NONE     = 0;  // no service is involved
const direction_t DIRECTION_REQUEST  = 1;
const direction_t DIRECTION_RESPONSE = 2;

// Whose packet this is. An ICMP error has the quoted flow's, reversed: it goes where that flow's packets go.
struct flow_t {
    address_t src_addr;
    address_t dst_addr;
    bit<8>    protocol;
    bit<16>   src_port;   // 0 without TCP or UDP, and in all fragments
    bit<16>   dst_port;
}

struct ingress_metadata_t {
    // ---- the frame, filled by the target before any control
    port_id_t     ingress_port;
    timestamp_t   timestamp;
    bit<16>       frame_length;    // bytes, Ethernet included, frame check sequence not
    bit<1>        truncated;       // the parser ran out of packet
    bit<1>        bad_checksum;    // of the tenant's IPv4 header

    // ---- the parser's, and Validation's
    bit<8>        stack_words;     // INT stack not parsed yet
    bit<16>       ip_length;       // tenant packet, IP header included
    bit<16>       header_length;   // of it, what is IP, extension and L4 headers
    bit<16>       payload_length;  // TCP or UDP payload
    bit<1>        is_ip;           // there is a tenant's IP packet whose addresses are understood
    bit<1>        is_fragment;     // any fragment, the first included
    flow_t        flow;
    bit<6>        dscp;

    // ---- Ports
    port_role_t   role;
    zone_id_t     port_zone;       // of an access port: where its hosts are

    // ---- what has been decided
    drop_reason_t drop_reason;
    punt_reason_t punt_reason;
    verdict_t     verdict;

    // ---- Sources, HostOption, Services, Classifier
    tenant_id_t   tenant;
    label_t       source_label;
    bit<1>        label_mandatory; // the label is the source's, whatever a host or the classifier says
    bit<1>        option_required;
    bit<1>        option_verified;
    bit<1>        identified;      // the classifier has spoken: class and label are this packet's
    direction_t   direction;
    service_id_t  service;
    bit<1>        by_address;      // of the service: hash on addresses and protocol alone
    class_id_t    class_id;
    label_t       label;
    bit<32>       deadline;        // us; 0: none
    bit<1>        watched;
    bit<16>       int_instructions; // 0: no INT
    bit<5>        int_hop_ml;
    bit<8>        int_hops;
    bit<1>        late_drop;
    bit<1>        late_drop_tcp;
    bit<16>       stream;          // 0: none; index of its meters
    bit<16>       tenant_meter;    // 0: none

    // ---- Steering
    instance_id_t cookie;          // instance of a verified session cookie; 0: none
    bit<16>       session;
    bit<32>       flow_hash;       // the same for all packets of a connection in one direction
    group_id_t    group;
    instance_id_t instance;        // 0: none
    leaf_id_t     leaf;            // destination that is not an instance; 0: none
    function_id_t function;        // local function; 0: none

    // ---- Paths
    bit<128>      segments;        // destination address: NEXT-CSID list
    zone_id_t     zone;            // of the destination
    bit<16>       mtu;             // the largest tenant packet that fits: path, or port on delivery
    bit<32>       base_latency;    // us

    // ---- Routes, Queueing
    port_id_t     egress_port;
    bit<16>       entropy;         // UDP source port of the encapsulation
    queue_id_t    queue;
    bit<32>       slack;
}

// What was learned of a watched connection by this packet.
typedef bit<2> token_event_t;
const token_event_t TOKEN_NONE  = 0;
const token_event_t TOKEN_FIRST = 1;  // the first token went by
const token_event_t TOKEN_DONE  = 2;  // the response is over: the next request, or the connection's end

struct token_metrics_t {
    token_event_t event;
    bit<32>  headers_time;
    bit<32>  first_token_time;
    bit<32>  segments;
    bit<32>  gap_sum;
    bit<32>  gap_max;
    bit<256> gaps;
}

// Where a connection is between a request and the end of its response: tokens.p4.
typedef bit<8> token_phase_t;
const token_phase_t PHASE_IDLE      = 0;
const token_phase_t PHASE_REQUESTED = 1;
const token_phase_t PHASE_HEADERS   = 2;
const token_phase_t PHASE_STREAMING = 3;

// What makes a packet of a watched flow news: reports.p4. Earlier hops are from the INT stack, newest first.
struct flow_signature_t {
    port_id_t ingress_port;
    port_id_t egress_port;
    bit<32>   latency;
    bit<64>   time;
    bit<8>    hops;
    bit<128>  hop_0;
    bit<128>  hop_1;
    bit<128>  hop_2;
    bit<128>  hop_3;
    bit<128>  hop_4;
    bit<128>  hop_5;
    bit<128>  hop_6;
}

struct bridged_metadata_t {
    verdict_t     verdict;
    bit<1>        is_report;       // a report on its way to the collector: never reported, cut to its length
    port_id_t     ingress_port;
    timestamp_t   timestamp;
    queue_id_t    queue;
    bit<16>       header_length;
    bit<16>       ip_length;
    bit<16>       payload_length;
    punt_reason_t punt_reason;

    // ---- link and tenant packet
    mac_addr_t    dst_mac;
    mac_addr_t    src_mac;
    bit<12>       vid;             // 0: untagged
    bit<1>        decrement_ttl;
    bit<16>       mss;             // 0: leave it
    bit<1>        rewrite_src;     // an instance's own address becomes the service's
    bit<1>        rewrite_dst;     // and the reverse
    address_t     rewrite_src_addr;
    address_t     rewrite_dst_addr;

    // ---- encapsulation
    bit<128>      segments;
    bit<16>       entropy;
    bit<16>       mtu;             // that all of it must fit
    tenant_id_t   tenant;
    service_id_t  service;
    instance_id_t instance;
    bit<16>       session;
    class_id_t    class_id;
    label_t       label;
    bit<1>        response;
    bit<1>        watched;
    bit<1>        late_drop;
    bit<1>        marked;
    bit<32>       slack;
    bit<32>       flow_hash;
    bit<16>       int_instructions;
    bit<5>        int_hop_ml;
    bit<8>        int_hops;
    bit<1>        is_sink;         // the INT option ends here

    token_metrics_t tokens;
}

// The packet's own traits, as its clone needs them for the report.
struct mirror_metadata_t {
    bit<1>        dropped;
    bit<1>        congested;
    bit<1>        tracked;
    drop_reason_t drop_reason;
    bit<16>       ingress_port;
    bit<16>       egress_port;     // all ones: unknown
    bit<8>        queue;
    bit<24>       occupancy;
    bit<32>       latency;
    timestamp_t   ingress_time;
    timestamp_t   egress_time;
    tenant_id_t   tenant;
    service_id_t  service;
    instance_id_t instance;
    label_t       label;
    class_id_t    class_id;
    bit<32>       flow_hash;
    bit<16>       quoted_length;   // bytes of the packet that the report may carry
    token_metrics_t tokens;
}

// What a report keeps of its subject while it comes round again.
struct report_metadata_t {
    label_t       label;
    class_id_t    class_id;
    bit<16>       length;          // of the report's IP packet
}

struct egress_metadata_t {
    port_id_t     egress_port;
    timestamp_t   timestamp;       // at the start of egress
    timestamp_t   enqueue_time;
    bit<32>       wait;            // us in the queue
    bit<24>       occupancy;       // of the queue, when this packet was put in
    bit<1>        is_clone;
    bit<32>       node_id;
    bit<64>       ingress_time;    // ns, this switch's clock
    bit<64>       egress_time;
    bit<32>       hop_latency;     // ns, from the first to the second; all ones: more than that
    drop_reason_t drop_reason;
    bit<1>        congested;
    bit<1>        tracked;
    bit<16>       length;          // IP packet on the wire
}

#endif  // DIN_METADATA_P4_
