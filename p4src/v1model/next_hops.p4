// SPDX-License-Identifier: Apache-2.0
// From the destination address to a port, surviving the loss of a link without the controller.
//
//   routes      prefix -> group of next hops, weighted, chosen by the flow's entropy. Members watch their ports: a
//               dead one's flows spread over the rest. bmv2 must not be left without a member, so one of each group
//               is not watched; it is a next hop like the others, because it gets its share at all times.
//   protection  the port chosen -> group of alternatives, tried in order: keep (watches that port), detours (each watches
//               its own), no_next_hop (watches nothing: a counted drop). This covers the unwatched member above,
//               and groups of one. The selector's hash is the constant 0: the first member alive.

#ifndef DIN_V1MODEL_NEXT_HOPS_P4_
#define DIN_V1MODEL_NEXT_HOPS_P4_

control NextHops(inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    bit<16> first_alive = 0;

    @id(ROUTES_SELECTOR_ID)
    @max_group_size(ROUTES_GROUP_SIZE)
    action_selector(HashAlgorithm.crc16, ROUTES_MEMBERS_SIZE, 16) routes_selector;

    @id(PROTECTION_SELECTOR_ID)
    @max_group_size(8)
    action_selector(HashAlgorithm.identity, ROUTES_MEMBERS_SIZE, 16) protection_selector;

    @id(SET_NEXT_HOP_ACTION_ID)
    action set_next_hop(@id(1) port_id_t port, @id(2) mac_addr_t dst_mac, @id(3) mac_addr_t src_mac) {
        ingress.egress_port = port;
        ingress.drop_reason = DROP_NONE;
        bridged.dst_mac = dst_mac;
        bridged.src_mac = src_mac;
    }

    @id(ROUTES_TABLE_ID)
    table routes {
        key = {
            ingress.segments : lpm @id(1) @name("sid");
            ingress.entropy : selector;
            bridged.tenant : selector;
        }
        actions = {
            set_next_hop;
        }
        implementation = routes_selector;
        size = ROUTES_SIZE;
    }

    @id(KEEP_ACTION_ID)
    action keep() {
    }

    @id(DETOUR_ACTION_ID)
    action detour(@id(1) port_id_t port, @id(2) mac_addr_t dst_mac, @id(3) mac_addr_t src_mac) {
        ingress.egress_port = port;
        bridged.dst_mac = dst_mac;
        bridged.src_mac = src_mac;
    }

    @id(NO_NEXT_HOP_ACTION_ID)
    action no_next_hop() {
        ingress.drop_reason = DROP_NO_NEXT_HOP;
    }

    @id(PROTECTION_TABLE_ID)
    table protection {
        key = {
            ingress.egress_port : exact @id(1) @name("port");
            first_alive : selector;
        }
        actions = {
            keep;
            detour;
            no_next_hop;
        }
        implementation = protection_selector;
        size = PORTS_SIZE;
    }

    apply {
        // Tables with a selector have no default action: without a route it stays at this.
        ingress.drop_reason = DROP_SEGMENT;
        routes.apply();
        if (ingress.drop_reason == DROP_NONE) {
            protection.apply();
        }
    }
}

#endif  // DIN_V1MODEL_NEXT_HOPS_P4_
