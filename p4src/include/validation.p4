// SPDX-License-Identifier: Apache-2.0
// What the headers say, made sense of once: lengths, fragments, and whose packet it is. A packet that contradicts
// itself is dropped here, so that no later control meets one.

#ifndef DIN_VALIDATION_P4_
#define DIN_VALIDATION_P4_

#include "metadata.p4"

control Validation(in headers_t headers, inout ingress_metadata_t ingress) {
    // Bytes in front of the tenant's packet; bytes of the fabric's IPv6 packet behind its fixed header.
    bit<16> outer_length = 14;
    bit<16> fabric_length = 0;
    bit<16> ip_header = 0;
    bit<16> l4_length = 0;
    bit<1>  is_quoted = 0;

    action validate_ipv4() {
        ingress.is_ip = 1;
        ingress.ip_length = headers.ipv4.total_len;
        ingress.dscp = headers.ipv4.dscp;
        ingress.flow.src_addr = IPV4_MAPPED ++ headers.ipv4.src_addr;
        ingress.flow.dst_addr = IPV4_MAPPED ++ headers.ipv4.dst_addr;
        ingress.flow.protocol = headers.ipv4.protocol;
        ip_header = (bit<16>)(headers.ipv4.ihl) << 2;
        if (headers.ipv4.more_fragments == 1 || headers.ipv4.fragment_offset != 0) {
            ingress.is_fragment = 1;
        }
        // Unspecified, loopback, multicast and limited broadcast.
        if (headers.ipv4.src_addr[31:24] == 0 || headers.ipv4.src_addr[31:24] == 127 ||
            headers.ipv4.src_addr[31:28] >= 0xe || headers.ipv4.dst_addr[31:24] == 0 ||
            headers.ipv4.dst_addr[31:24] == 127 || headers.ipv4.dst_addr[31:28] >= 0xe) {
            ingress.drop_reason = DROP_ADDRESS;
        }
        if (ingress.bad_checksum == 1) {
            ingress.drop_reason = DROP_IP_CHECKSUM;
        }
        if (headers.ipv4.version != 4 || headers.ipv4.ihl < 5) {
            ingress.drop_reason = DROP_IP_HEADER;
        }
    }

    action validate_ipv6() {
        ingress.is_ip = 1;
        ingress.ip_length = headers.ipv6.payload_len + 40;
        ingress.dscp = headers.ipv6.dscp;
        ingress.flow.src_addr = headers.ipv6.src_addr;
        ingress.flow.dst_addr = headers.ipv6.dst_addr;
        ingress.flow.protocol = headers.ipv6.next_header;
        ip_header = 40;
        if (headers.host_option.isValid()) {
            ip_header = ip_header + 24;
            ingress.flow.protocol = headers.host_option.next_header;
        }
        if (headers.srh.isValid()) {
            ip_header = ip_header + 8 + ((bit<16>)headers.srh.ext_len << 3);
            ingress.flow.protocol = headers.srh.next_header;
        }
        if (headers.fragment.isValid()) {
            ip_header = ip_header + 8;
            ingress.is_fragment = 1;
            ingress.flow.protocol = headers.fragment.next_header;
        }
        if (headers.ipv6.version != 6) {
            ingress.drop_reason = DROP_IP_HEADER;
        }
    }

    action measure_fabric() {
        outer_length = outer_length + 40 + 16;
        fabric_length = headers.fabric.ipv6.payload_len;
        if (headers.fabric.srh.isValid()) {
            outer_length = outer_length + 8 + ((bit<16>)headers.fabric.srh.ext_len << 3);
            fabric_length = fabric_length - 8 - ((bit<16>)headers.fabric.srh.ext_len << 3);
        }
        outer_length = outer_length + ((bit<16>)headers.fabric.geneve.opt_len << 2);
    }

    // Ports make a flow's packets alike only if all have them: a fragment's do not count.
    action take_ports(bit<16> src_port, bit<16> dst_port) {
        if (ingress.is_fragment == 0) {
            ingress.flow.src_port = src_port;
            ingress.flow.dst_port = dst_port;
        }
    }

    action take_quoted_ipv4() {
        ingress.flow.src_addr = IPV4_MAPPED ++ headers.quoted_ipv4.dst_addr;
        ingress.flow.dst_addr = IPV4_MAPPED ++ headers.quoted_ipv4.src_addr;
        ingress.flow.protocol = headers.quoted_ipv4.protocol;
    }

    action take_quoted_ipv6() {
        ingress.flow.src_addr = headers.quoted_ipv6.dst_addr;
        ingress.flow.dst_addr = headers.quoted_ipv6.src_addr;
        ingress.flow.protocol = headers.quoted_ipv6.next_header;
    }

    apply {
        if (headers.fabric.ipv6.isValid()) {
            if (headers.fabric.geneve.isValid()) {
                measure_fabric();
            }
            if (headers.fabric.ipv6.version != 6) {
                ingress.drop_reason = DROP_IP_HEADER;
            }
            if (14 + 40 + headers.fabric.ipv6.payload_len > ingress.frame_length ||
                headers.fabric.ipv6.payload_len > 0xffff - 54) {
                ingress.drop_reason = DROP_IP_LENGTH;
            } else if (headers.fabric.udp.isValid() && headers.fabric.udp.length > headers.fabric.ipv6.payload_len) {
                ingress.drop_reason = DROP_IP_LENGTH;
            }
        } else if (headers.vlan.isValid()) {
            outer_length = outer_length + 4;
        }
        if (headers.ipv4.isValid()) {
            validate_ipv4();
        } else if (headers.ipv6.isValid()) {
            validate_ipv6();
            // Unspecified (but for neighbour discovery), loopback and multicast sources; no packet to the first two.
            if (headers.ipv6.src_addr[127:120] == 0xff || headers.ipv6.src_addr == 1 ||
                headers.ipv6.dst_addr == 0 || headers.ipv6.dst_addr == 1 ||
                (headers.ipv6.src_addr == 0 && !headers.nd_target.isValid())) {
                ingress.drop_reason = DROP_ADDRESS;
            }
        }
        if (ingress.is_ip == 1) {
            ingress.header_length = ip_header;
            if (headers.tcp.isValid()) {
                l4_length = (bit<16>)headers.tcp.data_offset << 2;
                take_ports(headers.tcp.src_port, headers.tcp.dst_port);
                if (headers.tcp.data_offset < 5) {
                    ingress.drop_reason = DROP_IP_HEADER;
                }
            } else if (headers.udp.isValid()) {
                l4_length = 8;
                take_ports(headers.udp.src_port, headers.udp.dst_port);
                if (headers.udp.length < 8 ||
                    (ingress.is_fragment == 0 && headers.udp.length > ingress.ip_length - ip_header)) {
                    ingress.drop_reason = DROP_IP_LENGTH;
                }
            } else if (headers.icmp.isValid()) {
                l4_length = 8;
                // Only what its receiver sent: or an error about anything would go wherever its sender likes.
                if (headers.quoted_ipv4.isValid() && headers.quoted_ipv4.src_addr == headers.ipv4.dst_addr) {
                    is_quoted = 1;
                    take_quoted_ipv4();
                } else if (headers.quoted_ipv6.isValid() && headers.quoted_ipv6.src_addr == headers.ipv6.dst_addr) {
                    is_quoted = 1;
                    take_quoted_ipv6();
                }
                if (is_quoted == 1 && headers.quoted_ports.isValid()) {
                    take_ports(headers.quoted_ports.dst_port, headers.quoted_ports.src_port);
                }
            }
            ingress.header_length = ip_header + l4_length;
            if (ingress.ip_length < ingress.header_length) {
                ingress.drop_reason = DROP_IP_LENGTH;
            } else {
                ingress.payload_length = ingress.ip_length - ingress.header_length;
            }
            if (headers.ipv4.isValid() && headers.ipv4.ihl > 5) {
                // Options are not looked at, and may be anything: where only headers may go, they don't.
                ingress.header_length = 20;
            }
            // IPv6's payload_len can make the sum wrap.
            if ((bit<32>)outer_length + (bit<32>)ingress.ip_length > (bit<32>)ingress.frame_length ||
                (headers.ipv6.isValid() && headers.ipv6.payload_len > 0xffff - 40)) {
                ingress.drop_reason = DROP_IP_LENGTH;
            }
        }
        if (ingress.truncated == 1) {
            ingress.drop_reason = DROP_TRUNCATED;
        }
    }
}

#endif  // DIN_VALIDATION_P4_
