// SPDX-License-Identifier: Apache-2.0
// A node of the path: NEXT-CSID (RFC 9800, 4.1.1) on the fabric's IPv6 header.
//
//   segments: the longest prefix of the destination address that is a SID of ours
//     block:node::/48            end           shift the list, route on what comes next
//     block:node:function::/64   end_function  the path ends here, in one of our functions
//                                end_lookup    the path ends here, and the tenant's destination says in which of them
//     nothing                    pass          another node's: route as it is

#ifndef DIN_SRV6_P4_
#define DIN_SRV6_P4_

#include "ids.p4"
#include "metadata.p4"

// What the ingress leaf found out, as the DIN option tells it.
control FabricIdentity(in headers_t headers, inout ingress_metadata_t ingress) {
    apply {
        if (headers.fabric.din.isValid()) {
            ingress.tenant = (tenant_id_t)headers.fabric.geneve.vni;
            ingress.service = headers.fabric.din.service;
            ingress.session = headers.fabric.din.session;
            ingress.class_id = (class_id_t)headers.fabric.din.class_id;
            ingress.label = headers.fabric.din.label;
            ingress.watched = headers.fabric.din.watched;
            ingress.late_drop = headers.fabric.din.late_drop;
            ingress.slack = headers.fabric.din.slack;
            ingress.flow_hash = headers.fabric.din.flow_hash;
            if (ingress.service != 0) {
                if (headers.fabric.din.response == 1) {
                    ingress.direction = DIRECTION_RESPONSE;
                } else {
                    ingress.direction = DIRECTION_REQUEST;
                }
            }
        } else {
            ingress.slack = NO_DEADLINE;
        }
        ingress.entropy = headers.fabric.udp.src_port;
        ingress.segments = headers.fabric.ipv6.dst_addr;
    }
}

control Segments(in headers_t headers, inout ingress_metadata_t ingress) {
    @id(END_ACTION_ID)
    action end() {
        ingress.verdict = VERDICT_TRANSIT;
        ingress.segments = ingress.segments[127:96] ++ ingress.segments[79:0] ++ 16w0;
    }

    // The function is this node's own number of an instance or a port: see delivery.p4.
    @id(END_FUNCTION_ACTION_ID)
    @action_restriction("function != 0")
    action end_function(@id(1) @refers_to(functions , function) function_id_t function) {
        ingress.verdict = VERDICT_DELIVER;
        ingress.function = function;
    }

    // End.DT46 (RFC 8986, 4.8), its tables the tenants' `destinations`: one path to a leaf serves all its hosts.
    // Destinations says the function, which is 0 until then.
    @id(END_LOOKUP_ACTION_ID)
    action end_lookup() {
        ingress.verdict = VERDICT_DELIVER;
    }

    @id(PASS_ACTION_ID)
    action pass() {
        ingress.verdict = VERDICT_TRANSIT;
    }

    @id(SEGMENTS_TABLE_ID)
    table segments {
        key = {
            ingress.segments[127:64] : lpm @id(1) @name("sid");
        }
        actions = {
            end;
            end_function;
            end_lookup;
            @defaultonly pass;
        }
        const default_action = pass();
        size = SEGMENTS_SIZE;
    }

    apply {
        if (headers.fabric.ipv6.hop_limit <= 1) {
            ingress.drop_reason = DROP_HOP_LIMIT;
        } else {
            segments.apply();
            // Nothing behind our own SID: there is nowhere to go. What ends here must have been understood.
            if (ingress.segments[95:80] == 0 || (ingress.verdict == VERDICT_DELIVER && ingress.is_ip == 0)) {
                ingress.drop_reason = DROP_SEGMENT;
            }
        }
    }
}

#endif  // DIN_SRV6_P4_
