// SPDX-License-Identifier: Apache-2.0
// Numbers that other people gave meaning to, and those that we did.

#ifndef DIN_CONSTANTS_P4_
#define DIN_CONSTANTS_P4_

typedef bit<48>  mac_addr_t;
// IPv4 addresses are keys in their IPv4-mapped form (RFC 4291, 2.5.5.2), so that one table serves both.
typedef bit<128> address_t;
typedef bit<9>   port_id_t;
typedef bit<8>   queue_id_t;
// Since the switch started, in the target's unit (v1model: us).
typedef bit<48>  timestamp_t;

typedef bit<16> tenant_id_t;
typedef bit<16> service_id_t;
typedef bit<16> instance_id_t;
typedef bit<16> leaf_id_t;
typedef bit<16> group_id_t;
typedef bit<16> function_id_t;
typedef bit<8>  class_id_t;
typedef bit<8>  label_t;
typedef bit<8>  zone_id_t;

// Of a packet whose label could not be read: as private as any.
const label_t LABEL_UNKNOWN = 0xff;

// ---- Ethernet ------------------------------------------------------------------------------------------

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP  = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_LLDP = 0x88cc;

// ---- IP ------------------------------------------------------------------------------------------------

const bit<8> PROTOCOL_ICMP     = 1;
const bit<8> PROTOCOL_TCP      = 6;
const bit<8> PROTOCOL_UDP      = 17;
const bit<8> PROTOCOL_ROUTING  = 43;
const bit<8> PROTOCOL_FRAGMENT = 44;
const bit<8> PROTOCOL_ICMPV6   = 58;
const bit<8> PROTOCOL_DSTOPTS  = 60;

const bit<96> IPV4_MAPPED = 0x0000_0000_0000_0000_0000_ffff;

const bit<8> TCP_FIN = 0x01;
const bit<8> TCP_SYN = 0x02;
const bit<8> TCP_RST = 0x04;
const bit<8> TCP_ACK = 0x10;

const bit<8> ICMP_ECHO_REPLY     = 0;
const bit<8> ICMP_UNREACHABLE    = 3;
const bit<8> ICMP_ECHO_REQUEST   = 8;
const bit<8> ICMP_TIME_EXCEEDED  = 11;
const bit<8> ICMP_PARAMETER      = 12;
const bit<8> ICMPV6_UNREACHABLE  = 1;
const bit<8> ICMPV6_TOO_BIG      = 2;
const bit<8> ICMPV6_TIME_EXCEEDED = 3;
const bit<8> ICMPV6_PARAMETER    = 4;
const bit<8> ICMPV6_ECHO_REQUEST = 128;
const bit<8> ICMPV6_ECHO_REPLY   = 129;
const bit<8> ICMPV6_SOLICITATION = 135;
const bit<8> ICMPV6_ADVERTISEMENT = 136;

// ---- The fabric ----------------------------------------------------------------------------------------

// The block of all SIDs (RFC 9800: block of 32 bits, IDs of 16). The parser must know it before any table can
// tell it, so it is a constant: another block is another build.
#ifndef DIN_SID_BLOCK
#define DIN_SID_BLOCK 0xfcbbbb00
#endif
const bit<32> SID_BLOCK = DIN_SID_BLOCK;

const bit<8>  SRH_ROUTING_TYPE = 4;
const bit<16> UDP_PORT_GENEVE  = 6081;
const bit<2>  UDP_ENTROPY_PREFIX = 3;  // source ports 0xc000 to 0xffff: 14 bits of the flow hash
const bit<16> GENEVE_CLASS_DIN = 0xff44;  // experimental (RFC 8926, 7)
const bit<16> GENEVE_CLASS_INT = 0x0103;  // INT v2.1, 5.7.4
const bit<8>  GENEVE_TYPE_DIN  = 0x01;
const bit<8>  GENEVE_TYPE_INT_MD = 0x01;
const bit<4>  DIN_VERSION = 1;
// The host's option in an IPv6 Destination Options header: experimental (RFC 4727), unaware nodes skip it and
// it does not change on the way.
const bit<8>  DIN_OPTION_TYPE = 0x1e;
const bit<8>  DIN_OPTION_LENGTH = 20;
const bit<8>  DIN_OPTION_EXT_LEN = 2;     // 24 bytes: (2 + 1) * 8

// What a node adds in front of a tenant's packet, Ethernet aside, and what INT adds to that.
const bit<16> FABRIC_OVERHEAD = 84;       // IPv6 40, UDP 8, Geneve 8, DIN option 28
const bit<16> INT_OVERHEAD    = 16;       // Geneve option 4, INT-MD 12
const bit<8>  HOP_LIMIT = 64;

const bit<4>  INT_VERSION = 2;
const bit<5>  INT_MD_WORDS = 3;           // behind the option's own word, and before the stack
const bit<8>  GENEVE_OPTION_WORDS = 31;   // all that its length can say
const bit<32> INT_UNKNOWN = 0xffff_ffff;  // what a node cannot tell

// Domain Specific ID of the metadata in our Telemetry Reports: "DI".
const bit<16> REPORT_DOMAIN = 0x4449;

// ---- Telemetry Reports ---------------------------------------------------------------------------------

const bit<4>  REPORT_VERSION = 2;
const bit<4>  REPORT_TYPE_INT = 1;
const bit<4>  REPORT_INNER_NONE = 0;
const bit<4>  REPORT_INNER_IPV4 = 4;
const bit<4>  REPORT_INNER_IPV6 = 5;
const bit<16> REPORT_MD_PORTS        = 0x4000;
const bit<16> REPORT_MD_LATENCY      = 0x2000;
const bit<16> REPORT_MD_QUEUE        = 0x1000;
const bit<16> REPORT_MD_INGRESS_TIME = 0x0800;
const bit<16> REPORT_MD_EGRESS_TIME  = 0x0400;
const bit<16> REPORT_MD_DROP         = 0x0001;
const bit<16> REPORT_DS_TRAFFIC      = 0x8000;  // report_traffic_t
const bit<16> REPORT_DS_TOKENS       = 0x4000;  // report_tokens_t
const bit<16> REPORT_SOURCE_PORT = 0xc000;
const bit<6>  DSCP_OAM = 16;                    // CS2 (RFC 4594)
const bit<16> SNAP_LENGTH = 128;                // of an unlabelled packet, behind its headers
const bit<16> PORT_UNKNOWN  = 0xffff;
const bit<8>  QUEUE_UNKNOWN = 0xff;
// Instructions of which the signature of a flow knows the words: node, ports, latency, queue.
const bit<16> INT_DEFAULT = 0xf000;

// What a report is about, by the first that is true: the key of its collector.
typedef bit<8> report_kind_t;
const report_kind_t REPORT_DROP       = 1;
const report_kind_t REPORT_CONGESTION = 2;
const report_kind_t REPORT_FLOW       = 3;

// ---- Classes and queues --------------------------------------------------------------------------------
// DESIGN: strict priorities. Queue 0 is the lowest (bmv2, p4jit).

const class_id_t CLASS_BEST_EFFORT   = 0;
const class_id_t CLASS_TRAINING      = 1;
const class_id_t CLASS_KV_TRANSFER   = 2;
const class_id_t CLASS_SCHEDULED     = 3;  // token streams and requests, by deadline
const class_id_t CLASS_DETERMINISTIC = 4;
const class_id_t CLASS_CONTROL       = 5;
// A report about a class has a class of its own, and with it a better queue.
const class_id_t CLASS_REPORT        = 8;  // | the class reported on

const queue_id_t QUEUE_BEST_EFFORT   = 0;
const queue_id_t QUEUE_KV_TRANSFER   = 1;
const queue_id_t QUEUE_SCHEDULED_LOW = 2;  // 2 to 5: SP-PIFO
const queue_id_t QUEUE_SCHEDULED_HIGH = 5;
const queue_id_t QUEUE_DETERMINISTIC = 6;
const queue_id_t QUEUE_CONTROL       = 7;

// A slack with the top bit set never runs out: traffic without a deadline.
const bit<32> NO_DEADLINE = 0xffff_ffff;

// ---- Why a packet is dropped ---------------------------------------------------------------------------
// The index of the drop counter, and the drop reason of a Telemetry Report.

typedef bit<8> drop_reason_t;
const drop_reason_t DROP_NONE              = 0;
const drop_reason_t DROP_TRUNCATED         = 1;   // a header or packet is cut short
const drop_reason_t DROP_IP_HEADER         = 2;   // version, IHL or header length make no sense
const drop_reason_t DROP_IP_LENGTH         = 3;   // IP length beyond the frame, or within its own headers
const drop_reason_t DROP_IP_CHECKSUM       = 4;
const drop_reason_t DROP_ADDRESS           = 5;   // source or destination that no packet may have
const drop_reason_t DROP_PORT              = 6;   // the port has no role
const drop_reason_t DROP_FABRIC_DESTINATION = 7;  // SID block or infrastructure, from an access port
const drop_reason_t DROP_SOURCE            = 8;   // spoofed: (port, VLAN, source) is not permitted
const drop_reason_t DROP_ETHERTYPE         = 9;
const drop_reason_t DROP_HOP_LIMIT         = 10;  // of the fabric's own header
const drop_reason_t DROP_TTL               = 11;  // of the tenant's, beyond what the controller may be told
const drop_reason_t DROP_TOO_BIG           = 12;
const drop_reason_t DROP_POLICY            = 13;  // the classifier denies it
const drop_reason_t DROP_NO_GROUP          = 14;  // no steering group for (service, tenant, class, label)
const drop_reason_t DROP_NO_INSTANCE       = 15;
const drop_reason_t DROP_NO_DESTINATION    = 16;
const drop_reason_t DROP_NO_PATH           = 17;
const drop_reason_t DROP_SEGMENT           = 18;  // active SID unknown and unroutable, or list exhausted
const drop_reason_t DROP_FUNCTION          = 19;  // not of this switch, or the path ended where the host is not
const drop_reason_t DROP_NO_NEXT_HOP       = 20;  // every path to it is down
const drop_reason_t DROP_ZONE              = 21;  // label not permitted in the destination's zone
const drop_reason_t DROP_BOUNDARY          = 22;  // label not permitted beyond this port
const drop_reason_t DROP_OPTION            = 23;  // fabric packet without a readable DIN option
const drop_reason_t DROP_STREAM_RATE       = 24;
const drop_reason_t DROP_STREAM_SIZE       = 25;
const drop_reason_t DROP_TENANT_RATE       = 26;
const drop_reason_t DROP_DEADLINE          = 27;
const drop_reason_t DROP_PUNT_LIMIT        = 28;  // more for the controller than it may get
const drop_reason_t DROP_OPTION_TAG        = 29;  // an access policy that demands a true tag found none

// ---- What became of a host's DIN option: the index of the counter `host_options` ------------------------

typedef bit<8> option_result_t;
const option_result_t OPTION_VERIFIED       = 0;
const option_result_t OPTION_NO_KEY         = 1;  // no such key, or of another epoch
const option_result_t OPTION_BAD_TAG        = 2;
const option_result_t OPTION_FOREIGN_TENANT = 3;  // not the tenant that the port and the source are of
const option_result_t OPTION_CLASS          = 4;  // true, but it claims a class that its key may not
const drop_reason_t DROP_NEIGHBOR          = 30;  // ARP or neighbour discovery that breaks its own rules
const drop_reason_t DROP_UNENCAPSULATED    = 31;  // from a fabric port, without fabric headers, and not for us
const drop_reason_t DROP_ECN               = 32;  // marked in the fabric, and its sender knows nothing of marks

// ---- Why a packet goes to the controller ---------------------------------------------------------------

typedef bit<8> punt_reason_t;
const punt_reason_t PUNT_NONE           = 0;
const punt_reason_t PUNT_NO_DESTINATION = 1;
const punt_reason_t PUNT_TTL            = 2;
const punt_reason_t PUNT_TOO_BIG        = 3;
const punt_reason_t PUNT_GATEWAY        = 4;  // to an address of ours, and not for the switch to answer
const punt_reason_t PUNT_NEIGHBOR       = 5;  // ARP or ND that is not answered here
const punt_reason_t PUNT_LLDP           = 6;

// What the controller sees of a packet whose payload it may see.
const bit<32> PUNT_LENGTH = 256;
const punt_reason_t PUNT_PROBE          = 7;  // the controller's own packet-out to the CPU port

#endif  // DIN_CONSTANTS_P4_
