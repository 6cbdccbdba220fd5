// SPDX-License-Identifier: Apache-2.0

#ifndef DIN_DEPARSER_P4_
#define DIN_DEPARSER_P4_

#include "headers.p4"

control PacketDeparser(packet_out packet, in headers_t headers) {
    apply {
        packet.emit(headers.packet_in);
        packet.emit(headers.ethernet);
        packet.emit(headers.vlan);
        packet.emit(headers.report);
        packet.emit(headers.fabric);
        packet.emit(headers.arp);
        packet.emit(headers.ipv4);
        packet.emit(headers.ipv6);
        packet.emit(headers.host_option);
        packet.emit(headers.srh);
        packet.emit(headers.segments);
        packet.emit(headers.fragment);
        packet.emit(headers.tcp);
        packet.emit(headers.tcp_mss);
        packet.emit(headers.udp);
        packet.emit(headers.icmp);
        packet.emit(headers.nd_target);
        packet.emit(headers.nd_options);
        packet.emit(headers.quoted_ipv4);
        packet.emit(headers.quoted_ipv6);
        packet.emit(headers.quoted_ports);
    }
}

#endif  // DIN_DEPARSER_P4_
