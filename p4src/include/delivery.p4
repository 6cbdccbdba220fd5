// SPDX-License-Identifier: Apache-2.0
// The last step to a host: what a local function stands for. Requests, responses and other traffic end here,
// whether they came through the fabric or from a port of this very leaf.

#ifndef DIN_DELIVERY_P4_
#define DIN_DELIVERY_P4_

#include "ids.p4"
#include "metadata.p4"

control Functions(inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    // `mtu` is the port's, in bytes of IP packet; `zone` is where its hosts are.
    @id(DELIVER_ACTION_ID)
    action deliver(@id(1) port_id_t port, @id(2) mac_addr_t dst_mac, @id(3) mac_addr_t src_mac, @id(4) bit<12> vid,
                   @id(5) bit<16> mtu, @id(6) zone_id_t zone, @id(7) instance_id_t instance) {
        ingress.verdict = VERDICT_DELIVER;
        ingress.egress_port = port;
        ingress.mtu = mtu;
        ingress.zone = zone;
        // A client's port has none, and a response from this very leaf keeps the one that it is of.
        if (instance != 0) {
            ingress.instance = instance;
        }
        bridged.dst_mac = dst_mac;
        bridged.src_mac = src_mac;
        bridged.vid = vid;
    }

    // To an instance that cannot own the service's address: it is addressed by its own, and answers from it
    // (sources.p4 turns that back).
    @id(DELIVER_REWRITTEN_ACTION_ID)
    action deliver_rewritten(@id(1) port_id_t port, @id(2) mac_addr_t dst_mac, @id(3) mac_addr_t src_mac,
                             @id(4) bit<12> vid, @id(5) bit<16> mtu, @id(6) zone_id_t zone,
                             @id(7) instance_id_t instance, @id(8) address_t dst_addr) {
        deliver(port, dst_mac, src_mac, vid, mtu, zone, instance);
        bridged.rewrite_dst = 1;
        bridged.rewrite_dst_addr = dst_addr;
    }

    @id(REFUSE_FUNCTION_ACTION_ID)
    action refuse_function() {
        ingress.drop_reason = DROP_FUNCTION;
    }

    @id(FUNCTIONS_TABLE_ID)
    @entry_restriction("function != 0")
    table functions {
        key = {
            ingress.function : exact @id(1) @name("function");
        }
        actions = {
            deliver;
            deliver_rewritten;
            @defaultonly refuse_function;
        }
        const default_action = refuse_function();
        size = FUNCTIONS_SIZE;
    }

    apply {
        functions.apply();
    }
}

#endif  // DIN_DELIVERY_P4_
