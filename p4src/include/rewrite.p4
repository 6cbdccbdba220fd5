// SPDX-License-Identifier: Apache-2.0
// Egress: the one place where a tenant's packet is changed, and its checksums with it. What is changed was decided
// in ingress:
//
//   bridged.decrement_ttl   hop limit less one; once for the whole fabric, at the leaf the packet comes in by
//   bridged.mss             the MSS that a SYN announces, where it is more than fits
//   bridged.rewrite_src     source, destination: between a service's address and that of an instance which cannot
//   bridged.rewrite_dst     own it. What an ICMP error quotes is rewritten alike (RFC 5508, REQ-4)
//   (delivery)              the fabric's congestion mark goes on to the tenant's header (RFC 6040, 4.2)
//
// Nothing is summed anew: each change adds to what the checksums have to make up for (checksum.p4). Behind IPv4
// options, unknown extension headers and in later fragments no checksum is seen: only a first fragment's is kept true,
// which is the whole packet's.

#ifndef DIN_REWRITE_P4_
#define DIN_REWRITE_P4_

#include "checksum.p4"
#include "ids.p4"
#include "metadata.p4"

const bit<2> ECN_NOT_ECT = 0;
const bit<2> ECN_ECT_1   = 1;
const bit<2> ECN_ECT_0   = 2;
const bit<2> ECN_CE      = 3;

// How the mark of the fabric's header and the tenant's become one: the table of RFC 6040, 4.2.
control CongestionMark(in bit<2> outer, inout bit<2> inner, inout egress_metadata_t egress) {
    apply {
        if (outer == ECN_CE) {
            if (inner == ECN_NOT_ECT) {
                // Who does not know of marks is told by a loss.
                egress.drop_reason = DROP_ECN;
            } else {
                inner = ECN_CE;
            }
        } else if (outer == ECN_ECT_1 && inner == ECN_ECT_0) {
            inner = ECN_ECT_1;
        }
    }
}

control Rewrite(inout headers_t headers, in bridged_metadata_t bridged, inout egress_metadata_t egress) {
    CongestionMark() congestion_mark;

    address_t source = 0;
    address_t destination = 0;
    bit<2> ecn = 0;
    // What checksums have to make up for: a new source, a new destination; all that changed in the IPv4 header; in
    // what TCP's, UDP's or ICMP's covers.
    bit<32> source_change = 0;
    bit<32> destination_change = 0;
    bit<32> header_change = 0;
    bit<32> l4_change = 0;

    action rewrite_ipv4() {
        if (bridged.decrement_ttl == 1) {
            // The high byte of its word: 0x0100 less, that is 0xfeff more.
            headers.ipv4.ttl = headers.ipv4.ttl - 1;
            header_change = 0xfeff;
        }
        header_change = header_change + change_16((bit<16>)headers.ipv4.ecn, (bit<16>)ecn) + source_change +
                        destination_change;
        headers.ipv4.ecn = ecn;
        headers.ipv4.src_addr = source[31:0];
        headers.ipv4.dst_addr = destination[31:0];
        headers.ipv4.header_checksum = changed_checksum(headers.ipv4.header_checksum, header_change);
    }

    action rewrite_ipv6() {
        if (bridged.decrement_ttl == 1) {
            headers.ipv6.hop_limit = headers.ipv6.hop_limit - 1;
        }
        headers.ipv6.ecn = ecn;
        headers.ipv6.src_addr = source;
        headers.ipv6.dst_addr = destination;
    }

    // A quoted IPv4 header's own checksum makes up for its change, so that ICMP's need not.
    action quote_ipv4(bit<32> change) {
        headers.quoted_ipv4.header_checksum = changed_checksum(headers.quoted_ipv4.header_checksum, change);
    }

    apply {
        if (bridged.verdict == VERDICT_ENCAPSULATE || bridged.verdict == VERDICT_DELIVER) {
            if (headers.ipv4.isValid()) {
                source = IPV4_MAPPED ++ headers.ipv4.src_addr;
                destination = IPV4_MAPPED ++ headers.ipv4.dst_addr;
                ecn = headers.ipv4.ecn;
            } else {
                source = headers.ipv6.src_addr;
                destination = headers.ipv6.dst_addr;
                ecn = headers.ipv6.ecn;
            }
            if (headers.fabric.ipv6.isValid()) {
                congestion_mark.apply(headers.fabric.ipv6.ecn, ecn, egress);
            }
            if (headers.tcp_mss.isValid() && bridged.mss != 0) {
                l4_change = change_16(headers.tcp_mss.mss, bridged.mss);
                headers.tcp_mss.mss = bridged.mss;
            }
            // What an instance answers to was sent to its own address: so is what it quotes.
            if (bridged.rewrite_src == 1) {
                source_change = change_128(source, bridged.rewrite_src_addr);
                if (headers.quoted_ipv4.isValid() && headers.quoted_ipv4.dst_addr == source[31:0]) {
                    headers.quoted_ipv4.dst_addr = bridged.rewrite_src_addr[31:0];
                    quote_ipv4(source_change);
                } else if (headers.quoted_ipv6.isValid() && headers.quoted_ipv6.dst_addr == source) {
                    headers.quoted_ipv6.dst_addr = bridged.rewrite_src_addr;
                    l4_change = source_change;
                }
                source = bridged.rewrite_src_addr;
            }
            // And what it sent had its own address, before the world saw the service's.
            if (bridged.rewrite_dst == 1) {
                destination_change = change_128(destination, bridged.rewrite_dst_addr);
                if (headers.quoted_ipv4.isValid() && headers.quoted_ipv4.src_addr == destination[31:0]) {
                    headers.quoted_ipv4.src_addr = bridged.rewrite_dst_addr[31:0];
                    quote_ipv4(destination_change);
                } else if (headers.quoted_ipv6.isValid() && headers.quoted_ipv6.src_addr == destination) {
                    headers.quoted_ipv6.src_addr = bridged.rewrite_dst_addr;
                    l4_change = l4_change + destination_change;
                }
                destination = bridged.rewrite_dst_addr;
            }

            if (headers.ipv4.isValid()) {
                rewrite_ipv4();
            } else if (headers.ipv6.isValid()) {
                rewrite_ipv6();
            }
            // The pseudo-header has both addresses. IPv4's ICMP has none, and with segments left (RFC 8754) the last
            // one stands for the destination.
            if (!(headers.ipv4.isValid() && headers.icmp.isValid())) {
                l4_change = l4_change + source_change;
                if (!headers.srh.isValid() || headers.srh.segments_left == 0) {
                    l4_change = l4_change + destination_change;
                }
            }

            if (headers.tcp.isValid()) {
                headers.tcp.checksum = changed_checksum(headers.tcp.checksum, l4_change);
            } else if (headers.udp.isValid() && headers.udp.checksum != 0) {
                headers.udp.checksum = changed_checksum(headers.udp.checksum, l4_change);
                // 0 would mean that there is none.
                if (headers.udp.checksum == 0) {
                    headers.udp.checksum = 0xffff;
                }
            } else if (headers.icmp.isValid()) {
                headers.icmp.checksum = changed_checksum(headers.icmp.checksum, l4_change);
            }
        }
    }
}

#endif  // DIN_REWRITE_P4_
