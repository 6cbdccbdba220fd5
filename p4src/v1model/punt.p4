// SPDX-License-Identifier: Apache-2.0
// The way to the controller: no wider than it was made, and no payload of labelled traffic on it.
//
//   PuntLimit, ingress   packets to the controller are metered by the port they came in on, then for the whole switch.
//                        What is red is dropped (DROP_PUNT_LIMIT). A meter that was never set lets everything by.
//   PacketIn, egress     the packet_in header, and as much of the packet as the controller may see.
//
// ARP, neighbour discovery and LLDP have meters of their own, so that a flood of packets whose time is up does not
// cost the fabric its links, nor hosts their neighbours.

#ifndef DIN_V1MODEL_PUNT_P4_
#define DIN_V1MODEL_PUNT_P4_

const bit<32> PACKET_IN_LENGTH = 8;  // of the packet_in header itself

// MeterColor, as the targets number it.
const bit<8> METER_RED = 2;

control PuntLimit(inout ingress_metadata_t ingress) {
    // At port * 2, and one more for ARP, neighbour discovery and LLDP.
    @id(PUNT_PORTS_METER_ID)
    meter(PUNT_PORTS_SIZE, MeterType.packets) punt_ports;

    // The same two, for all ports together.
    @id(PUNT_SWITCH_METER_ID)
    meter(2, MeterType.packets) punt_switch;

    bit<1> is_link = 0;
    bit<8> port_color = 0;
    bit<8> switch_color = 0;

    apply {
        // The CPU port's queues are not the class's of what was to be forwarded.
        ingress.class_id = CLASS_BEST_EFFORT;
        if (ingress.punt_reason == PUNT_NEIGHBOR || ingress.punt_reason == PUNT_LLDP) {
            is_link = 1;
            ingress.class_id = CLASS_CONTROL;
        }
        punt_ports.execute_meter((bit<32>)(ingress.ingress_port ++ is_link), port_color);
        if (port_color == METER_RED) {
            ingress.drop_reason = DROP_PUNT_LIMIT;
        } else {
            punt_switch.execute_meter((bit<32>)is_link, switch_color);
            if (switch_color == METER_RED) {
                ingress.drop_reason = DROP_PUNT_LIMIT;
            }
        }
    }
}

control PacketIn(inout headers_t headers, in bridged_metadata_t bridged) {
    // Bytes in front of the tenant's packet.
    bit<32> outer_length = 14;

    apply {
        headers.packet_in.setValid();
        headers.packet_in.ingress_port = (bit<16>)bridged.ingress_port;
        headers.packet_in.reason = bridged.punt_reason;
        headers.packet_in.label = bridged.label;
        headers.packet_in.mtu = bridged.mtu - FABRIC_OVERHEAD;
        headers.packet_in.tenant = bridged.tenant;

        if (headers.fabric.ipv6.isValid()) {
            outer_length = outer_length + 40;
            if (headers.fabric.srh.isValid()) {
                outer_length = outer_length + 8 + ((bit<32>)headers.fabric.srh.ext_len << 3);
            }
            if (headers.fabric.geneve.isValid()) {
                outer_length = outer_length + 16 + ((bit<32>)headers.fabric.geneve.opt_len << 2);
            }
        } else if (headers.vlan.isValid()) {
            outer_length = outer_length + 4;
        }
        // What goes to the gateway itself was not classified: nobody knows that it bears no label. Neighbours'
        // messages were not either, but have nothing of a tenant's in them.
        if (bridged.label != 0 || bridged.punt_reason == PUNT_GATEWAY) {
            truncate(PACKET_IN_LENGTH + outer_length + (bit<32>)bridged.header_length);
        } else if (bridged.punt_reason != PUNT_LLDP && bridged.punt_reason != PUNT_PROBE) {
            truncate(PACKET_IN_LENGTH + PUNT_LENGTH);
        }
    }
}

#endif  // DIN_V1MODEL_PUNT_P4_
