// SPDX-License-Identifier: Apache-2.0
// What a host expects of its router, and of a service's address, answered at the port it asks on.
//
//   frame -+- ARP, IPv4, IPv6 -> addresses: (port, VLAN, address) -> whose address this is
//          |                        |
//          |                        +- ARP request, neighbour solicitation   reply, if it is one of ours
//          |                        +- other ARP and neighbour discovery     controller (PUNT_NEIGHBOR)
//          |                        +- echo request                          reply, if it is one of ours
//          |                        +- anything else to the gateway          controller (PUNT_GATEWAY)
//          |                        +- link-local, multicast                 dropped: no router forwards it
//          |                        +- all other IP                          goes on to be routed (access port) or is
//          |                                                                 dropped (fabric port: not encapsulated)
//          +- LLDP                                                           controller (PUNT_LLDP)
//          +- any other EtherType                                            dropped
//
// Neighbours' messages are judged before anything is known of their sender: a reply goes back to the port it was
// asked on and nowhere else, and what the controller gets is rate-limited and its to judge.

#ifndef DIN_GATEWAY_P4_
#define DIN_GATEWAY_P4_

#include "checksum.p4"
#include "ids.p4"
#include "metadata.p4"

const bit<16> ARP_ETHERNET = 1;
const bit<16> ARP_REQUEST  = 1;
const bit<16> ARP_REPLY    = 2;

const bit<8>   ND_HOP_LIMIT     = 255;                      // proof that no router forwarded it
const bit<8>   ND_SOURCE_LINK   = 1;                        // options (RFC 4861, 4.6)
const bit<8>   ND_TARGET_LINK   = 2;
const bit<128> ND_ALL_NODES     = 0xff020000_00000000_00000000_00000001;
const bit<48>  ND_ALL_NODES_MAC = 0x333300000001;
const bit<104> ND_SOLICITED_NODE = 0xff020000_00000000_00000001_ff; // ff02::1:ff00:0/104
const bit<16>  ND_ADVERTISEMENT_LENGTH = 32;                // ICMPv6 4, flags 4, target 16, option 8
const bit<32>  ND_ROUTER    = 0x8000_0000;
const bit<32>  ND_SOLICITED = 0x4000_0000;
const bit<32>  ND_OVERRIDE  = 0x2000_0000;

const bit<8> ICMPV6_ROUTER_SOLICITATION = 133;

// What the switch has to do with the address that a packet asks for.
struct owner_t {
    bit<1>     answers;      // ARP and neighbour discovery
    bit<1>     is_gateway;
    bit<1>     is_service;   // anycast: other leaves answer for it as well
    mac_addr_t mac;
}

// ---- ARP -----------------------------------------------------------------------------------------------

control ArpResponder(inout headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged,
                     in owner_t owner) {
    action reply() {
        ingress.verdict = VERDICT_REPLY;
        bridged.dst_mac = headers.arp.sender_mac;
        bridged.src_mac = owner.mac;
        bit<32> asked = headers.arp.target_ip;
        headers.arp.operation = ARP_REPLY;
        headers.arp.target_mac = headers.arp.sender_mac;
        headers.arp.target_ip = headers.arp.sender_ip;
        headers.arp.sender_mac = owner.mac;
        headers.arp.sender_ip = asked;
    }

    apply {
        if (headers.arp.hardware_type != ARP_ETHERNET || headers.arp.protocol_type != ETHERTYPE_IPV4 ||
            headers.arp.hardware_length != 6 || headers.arp.protocol_length != 4 ||
            (headers.arp.operation != ARP_REQUEST && headers.arp.operation != ARP_REPLY) ||
            headers.arp.sender_mac == 0 || headers.arp.sender_mac[40:40] == 1 ||
            headers.arp.sender_ip[31:28] >= 0xe || headers.arp.target_ip[31:28] >= 0xe) {
            ingress.drop_reason = DROP_NEIGHBOR;
        } else if (headers.arp.operation == ARP_REQUEST && owner.answers == 1 &&
                   headers.arp.sender_ip != headers.arp.target_ip &&
                   (headers.arp.sender_ip != 0 || owner.is_gateway == 1 || owner.is_service == 1)) {
            // A probe (sender 0, RFC 5227) hears that the address is taken, unless it is only a neighbour's: it
            // may be that neighbour who asks.
            reply();
        } else {
            // Announcements (a host that claims our address among them), replies, and others' addresses.
            ingress.punt_reason = PUNT_NEIGHBOR;
            ingress.verdict = VERDICT_PUNT;
        }
    }
}

// ---- Neighbour discovery -------------------------------------------------------------------------------

control SolicitationResponder(inout headers_t headers, inout ingress_metadata_t ingress,
                              inout bridged_metadata_t bridged, in owner_t owner) {
    bit<32> sum = 0;
    bit<1> is_probe = 0;          // duplicate address detection: from the unspecified address
    bit<1> has_source_link = 0;
    bit<1> has_broken_option = 0;
    bit<1> has_long_option = 0;
    bit<128> destination = ND_ALL_NODES;
    bit<32> flags = ND_ROUTER;

    action take_option(nd_option_t option) {
        sum = sum + (bit<32>)(option.type ++ option.length) + sum_48(option.value);
        if (option.type == ND_SOURCE_LINK) {
            has_source_link = 1;
        }
        if (option.length == 0) {
            has_broken_option = 1;
        } else if (option.length != 1) {
            has_long_option = 1;
        }
    }

    action advertise() {
        headers.ipv6.dscp = 0;
        headers.ipv6.ecn = 0;
        headers.ipv6.flow_label = 0;
        headers.ipv6.payload_len = ND_ADVERTISEMENT_LENGTH;
        headers.ipv6.src_addr = headers.nd_target.address;
        headers.ipv6.dst_addr = destination;
        headers.icmp.type = ICMPV6_ADVERTISEMENT;
        headers.icmp.rest = flags;
        headers.nd_options[0].setValid();
        headers.nd_options[0].type = ND_TARGET_LINK;
        headers.nd_options[0].length = 1;
        headers.nd_options[0].value = owner.mac;
        headers.nd_options[1].setInvalid();
        ingress.verdict = VERDICT_REPLY;
        ingress.ip_length = 40 + ND_ADVERTISEMENT_LENGTH;
        bridged.src_mac = owner.mac;
        // The target is in it twice: as the source, and as itself.
        sum = (sum_128(headers.nd_target.address) << 1) + sum_128(destination) + sum_32(flags) + sum_48(owner.mac) +
              (bit<32>)(ICMPV6_ADVERTISEMENT ++ 8w0) + (bit<32>)(ND_TARGET_LINK ++ 8w1) +
              (bit<32>)PROTOCOL_ICMPV6 + (bit<32>)ND_ADVERTISEMENT_LENGTH;
    }

    apply {
        if (headers.ipv6.src_addr == 0) {
            is_probe = 1;
        }
        sum = sum_128(headers.ipv6.src_addr) + sum_128(headers.ipv6.dst_addr) + sum_128(headers.nd_target.address) +
              (bit<32>)headers.ipv6.payload_len + (bit<32>)PROTOCOL_ICMPV6 +
              (bit<32>)(headers.icmp.type ++ headers.icmp.code) + (bit<32>)headers.icmp.checksum +
              sum_32(headers.icmp.rest);
        if (headers.nd_options[0].isValid()) {
            take_option(headers.nd_options[0]);
        }
        if (headers.nd_options[1].isValid()) {
            take_option(headers.nd_options[1]);
        }
        // RFC 4861, 7.1.1; RFC 6980: never in fragments.
        if (headers.ipv6.next_header != PROTOCOL_ICMPV6 || headers.ipv6.hop_limit != ND_HOP_LIMIT ||
            headers.icmp.code != 0 || headers.ipv6.payload_len < 24 || headers.nd_target.address[127:120] == 0xff ||
            has_broken_option == 1) {
            ingress.drop_reason = DROP_NEIGHBOR;
        } else if (is_probe == 1 &&
                   (headers.ipv6.dst_addr[127:24] != ND_SOLICITED_NODE || has_source_link == 1)) {
            ingress.drop_reason = DROP_NEIGHBOR;
        } else if (headers.ipv6.payload_len > 40 || has_long_option == 1) {
            // Options that are not known here. Its checksum was not seen in full.
            ingress.punt_reason = PUNT_NEIGHBOR;
            ingress.verdict = VERDICT_PUNT;
        } else if (fold(sum) != 0xffff) {
            ingress.drop_reason = DROP_NEIGHBOR;
        } else if (owner.answers == 0 || headers.ipv6.src_addr == headers.nd_target.address ||
                   (is_probe == 1 && owner.is_gateway == 0 && owner.is_service == 0)) {
            // As for ARP: whoever asks with the unspecified address may be the neighbour that we stand in for.
            ingress.punt_reason = PUNT_NEIGHBOR;
            ingress.verdict = VERDICT_PUNT;
        } else {
            if (owner.is_gateway == 1) {
                // Of an anycast or another's address, a better answer may replace ours (RFC 4861, 7.2.4).
                flags = flags | ND_OVERRIDE;
            }
            bridged.dst_mac = ND_ALL_NODES_MAC;
            if (is_probe == 0) {
                bridged.dst_mac = headers.ethernet.src_addr;
                destination = headers.ipv6.src_addr;
                flags = flags | ND_SOLICITED;
            }
            advertise();
            headers.icmp.checksum = ~fold(sum);
        }
    }
}

// ---- Echo ----------------------------------------------------------------------------------------------

control EchoResponder(inout headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged,
                      in owner_t owner) {
    bit<16> before = 0;

    action return_to_sender() {
        ingress.verdict = VERDICT_REPLY;
        bridged.dst_mac = headers.ethernet.src_addr;
        bridged.src_mac = owner.mac;
    }

    // Exchanging the addresses leaves all sums as they were. The payload's checksum, true or not, stays as it is.
    action reply_ipv4() {
        bit<32> asked = headers.ipv4.dst_addr;
        headers.ipv4.dst_addr = headers.ipv4.src_addr;
        headers.ipv4.src_addr = asked;
        before = headers.ipv4.ttl ++ headers.ipv4.protocol;
        headers.ipv4.ttl = HOP_LIMIT;
        headers.ipv4.header_checksum =
            changed_checksum(headers.ipv4.header_checksum, change_16(before, HOP_LIMIT ++ PROTOCOL_ICMP));
        headers.icmp.type = ICMP_ECHO_REPLY;
        headers.icmp.checksum =
            changed_checksum(headers.icmp.checksum, change_16(ICMP_ECHO_REQUEST ++ 8w0, ICMP_ECHO_REPLY ++ 8w0));
        return_to_sender();
    }

    action reply_ipv6() {
        bit<128> asked = headers.ipv6.dst_addr;
        headers.ipv6.dst_addr = headers.ipv6.src_addr;
        headers.ipv6.src_addr = asked;
        headers.ipv6.hop_limit = HOP_LIMIT;
        headers.icmp.type = ICMPV6_ECHO_REPLY;
        headers.icmp.checksum = changed_checksum(
            headers.icmp.checksum, change_16(ICMPV6_ECHO_REQUEST ++ 8w0, ICMPV6_ECHO_REPLY ++ 8w0));
        return_to_sender();
    }

    apply {
        if (headers.ipv4.isValid()) {
            reply_ipv4();
        } else {
            if (headers.host_option.isValid()) {
                // The host's option spoke of its own packet.
                headers.ipv6.next_header = PROTOCOL_ICMPV6;
                headers.ipv6.payload_len = headers.ipv6.payload_len - 24;
                headers.host_option.setInvalid();
            }
            reply_ipv6();
        }
    }
}

// ---- All of it -----------------------------------------------------------------------------------------

control Gateway(inout headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    ArpResponder() arp_responder;
    SolicitationResponder() solicitation_responder;
    EchoResponder() echo_responder;

    owner_t owner = { 0, 0, 0, 0 };
    address_t source = 0;
    address_t asked = 0;
    bit<16> ether_type = 0;
    bit<12> vid = 0;
    bit<1> is_echo = 0;
    bit<1> is_advice = 0;     // router solicitation, neighbour advertisement
    bit<1> is_local = 0;      // of this link only
    bit<1> is_impossible = 0;

    // The address of the hosts' router.
    @id(ANSWER_GATEWAY_ACTION_ID)
    action answer_gateway(@id(1) mac_addr_t mac) {
        owner.answers = 1;
        owner.is_gateway = 1;
        owner.mac = mac;
    }

    // A service's address: hosts reach it through us even where they believe it to be on their link.
    @id(ANSWER_SERVICE_ACTION_ID)
    action answer_service(@id(1) mac_addr_t mac) {
        owner.answers = 1;
        owner.is_service = 1;
        owner.mac = mac;
    }

    // Other hosts of a subnet that spans ports: proxy ARP (RFC 1027) and ND proxy (RFC 4389). Never told to
    // those who probe for duplicates.
    @id(ANSWER_NEIGHBOR_ACTION_ID)
    action answer_neighbor(@id(1) mac_addr_t mac) {
        owner.answers = 1;
        owner.mac = mac;
    }

    // Not ours to answer for: overrules a wider entry, as for the hosts behind the port itself.
    @id(IGNORE_ADDRESS_ACTION_ID)
    action ignore_address() {
    }

    @id(ADDRESSES_TABLE_ID)
    @entry_restriction("
        // All addresses there are: not even a neighbour of every host is that.
        address::mask != 0;
    ")
    table addresses {
        key = {
            ingress.ingress_port : optional @id(1) @name("port");
            vid : optional @id(2) @name("vid");         // 0: untagged
            asked : ternary @id(3) @name("address");
        }
        actions = {
            answer_gateway;
            answer_service;
            answer_neighbor;
            ignore_address;
        }
        const default_action = ignore_address();
        size = ADDRESSES_SIZE;
    }

    action punt(punt_reason_t reason) {
        ingress.punt_reason = reason;
        ingress.verdict = VERDICT_PUNT;
    }

    apply {
        ether_type = headers.ethernet.ether_type;
        if (headers.vlan.isValid()) {
            ether_type = headers.vlan.ether_type;
            vid = headers.vlan.vid;
        }
        if (headers.arp.isValid()) {
            asked = IPV4_MAPPED ++ headers.arp.target_ip;
        } else if (headers.ipv4.isValid()) {
            // Not the flow's, which an ICMP error borrows from what it quotes.
            source = IPV4_MAPPED ++ headers.ipv4.src_addr;
            asked = IPV4_MAPPED ++ headers.ipv4.dst_addr;
            if (headers.ipv4.src_addr[31:16] == 0xa9fe || headers.ipv4.dst_addr[31:16] == 0xa9fe) {
                is_local = 1;
            }
            if (headers.icmp.isValid() && headers.icmp.type == ICMP_ECHO_REQUEST && headers.icmp.code == 0) {
                is_echo = 1;
            }
        } else if (headers.nd_target.isValid()) {
            asked = headers.nd_target.address;
        } else if (headers.ipv6.isValid()) {
            source = headers.ipv6.src_addr;
            asked = headers.ipv6.dst_addr;
            if (source[127:118] == 0x3fa || asked[127:118] == 0x3fa || asked[127:120] == 0xff) {
                is_local = 1;
            }
            if (headers.icmp.isValid()) {
                if (headers.icmp.type == ICMPV6_ECHO_REQUEST && headers.icmp.code == 0 && !headers.srh.isValid()) {
                    is_echo = 1;
                } else if (headers.icmp.type == ICMPV6_ROUTER_SOLICITATION ||
                           headers.icmp.type == ICMPV6_ADVERTISEMENT) {
                    is_advice = 1;
                }
            }
            // On the wire these would pass for IPv4 addresses in every table.
            if (source[127:32] == IPV4_MAPPED || asked[127:32] == IPV4_MAPPED) {
                is_impossible = 1;
            }
        }
        // To itself; or to one address in a frame to many, which would be routed once by each that hears it
        // (RFC 1812, 5.3.4).
        if (source == asked || (headers.ethernet.dst_addr[40:40] == 1 && asked[127:120] != 0xff)) {
            is_impossible = 1;
        }

        if (headers.ethernet.src_addr[40:40] == 1) {
            ingress.drop_reason = DROP_ADDRESS;
        } else if (headers.fabric.ipv6.isValid()) {
            // From an access port, since fabric packets do not come here: Infrastructure refuses it.
        } else if (headers.arp.isValid() || ingress.is_ip == 1) {
            addresses.apply();
            if (headers.arp.isValid()) {
                arp_responder.apply(headers, ingress, bridged, owner);
            } else if (headers.nd_target.isValid()) {
                solicitation_responder.apply(headers, ingress, bridged, owner);
            } else if (is_impossible == 1) {
                ingress.drop_reason = DROP_ADDRESS;
            } else if (is_echo == 1 && ingress.is_fragment == 0 && (owner.is_gateway == 1 || owner.is_service == 1)) {
                echo_responder.apply(headers, ingress, bridged, owner);
            } else if (is_advice == 1 && (owner.is_gateway == 1 || is_local == 1)) {
                if (headers.ipv6.next_header != PROTOCOL_ICMPV6 || headers.ipv6.hop_limit != ND_HOP_LIMIT ||
                    headers.icmp.code != 0) {
                    ingress.drop_reason = DROP_NEIGHBOR;
                } else {
                    punt(PUNT_NEIGHBOR);
                }
            } else if (owner.is_gateway == 1) {
                punt(PUNT_GATEWAY);
            } else if (is_local == 1) {
                ingress.drop_reason = DROP_ADDRESS;
            } else if (ingress.role == ROLE_FABRIC) {
                ingress.drop_reason = DROP_UNENCAPSULATED;
            }
        } else if (ether_type == ETHERTYPE_LLDP) {
            punt(PUNT_LLDP);
        } else {
            ingress.drop_reason = DROP_ETHERTYPE;
        }
    }
}

// A tenant's packet crosses the fabric as if it were one router: its first leaf takes one hop off (rewrite.p4), and
// tells the controller of those that have none left.
control HopLimit(in headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    apply {
        if (ingress.role != ROLE_FABRIC) {
            bridged.decrement_ttl = 1;
            if ((headers.ipv4.isValid() && headers.ipv4.ttl <= 1) ||
                (headers.ipv6.isValid() && headers.ipv6.hop_limit <= 1)) {
                if (ingress.role == ROLE_ACCESS) {
                    ingress.punt_reason = PUNT_TTL;
                    ingress.verdict = VERDICT_PUNT;
                } else {
                    ingress.drop_reason = DROP_TTL;
                }
            }
        }
    }
}

#endif  // DIN_GATEWAY_P4_
