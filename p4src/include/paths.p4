// SPDX-License-Identifier: Apache-2.0
// How to get there, and what fits on the way.
//
//   response_paths  (service, class, label, client's leaf) -> path chosen for the service's tokens; else
//   paths           (instance or leaf, class, label) -> path, or a local function when the instance is on this leaf
//
//   via: NEXT-CSID list with the egress leaf's function as its last ID, MTU, zone that it ends in, base latency

#ifndef DIN_PATHS_P4_
#define DIN_PATHS_P4_

#include "ids.p4"
#include "metadata.p4"
#include "deadlines.p4"

typedef bit<8> target_kind_t;
const target_kind_t TARGET_INSTANCE = 1;
const target_kind_t TARGET_LEAF     = 2;

control Paths(inout ingress_metadata_t ingress) {
    target_kind_t kind = TARGET_INSTANCE;
    bit<16> target = 0;

    // `mtu` is the least of the path's links', in bytes of IP packet; the tenant gets what encapsulation leaves,
    // and that is no less than what IPv6 demands. `base_latency` (us) is the path's when no queue is in the way.
    @id(VIA_ACTION_ID)
    @action_restriction("mtu >= 1364")
    action via(@id(1) bit<128> segments, @id(2) bit<16> mtu, @id(3) zone_id_t zone, @id(4) bit<32> base_latency) {
        ingress.verdict = VERDICT_ENCAPSULATE;
        ingress.segments = segments;
        ingress.mtu = mtu - FABRIC_OVERHEAD;
        ingress.zone = zone;
        ingress.base_latency = base_latency;
        ingress.slack = initial_slack(ingress.deadline, base_latency);
    }

    // The instance is here.
    @id(LOCAL_ACTION_ID)
    @action_restriction("function != 0")
    action local(@id(1) @refers_to(functions , function) function_id_t function) {
        ingress.function = function;
        ingress.slack = initial_slack(ingress.deadline, 0);
    }

    @id(NO_PATH_ACTION_ID)
    action no_path() {
        ingress.drop_reason = DROP_NO_PATH;
    }

    @id(RESPONSE_PATHS_TABLE_ID)
    @entry_restriction("service != 0 && class_id < 16 && leaf != 0")
    table response_paths {
        key = {
            ingress.service  : exact @id(1) @name("service");
            ingress.class_id : exact @id(2) @name("class_id");
            ingress.label    : exact @id(3) @name("label");
            ingress.leaf     : exact @id(4) @name("leaf");
        }
        actions = {
            via;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = RESPONSE_PATHS_SIZE;
    }

    @id(PATHS_TABLE_ID)
    @entry_restriction("(kind == 1 || kind == 2) && target != 0 && class_id < 16")
    table paths {
        key = {
            kind             : exact @id(1) @name("kind");
            target           : exact @id(2) @name("target");
            ingress.class_id : exact @id(3) @name("class_id");
            ingress.label    : exact @id(4) @name("label");
        }
        actions = {
            via;
            local;
            @defaultonly no_path;
        }
        const default_action = no_path();
        size = PATHS_SIZE;
    }

    apply {
        target = ingress.instance;
        if (ingress.leaf != 0) {
            kind = TARGET_LEAF;
            target = ingress.leaf;
            if (ingress.direction == DIRECTION_RESPONSE) {
                response_paths.apply();
            }
        }
        if (ingress.verdict == VERDICT_NONE) {
            paths.apply();
        }
    }
}

// What fits: a TCP connection is told in its handshake, any other sender when it has sent too much.
control PacketSize(in headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    bit<16> largest_segment = 0;

    apply {
        if (headers.tcp_mss.isValid()) {
            // The MTU less IP, extension headers and a TCP header without options: what an MSS counts (RFC 6691). The
            // extension headers of this packet stand for those of the ones to come.
            largest_segment = ingress.mtu |-| (ingress.header_length - ((bit<16>)headers.tcp.data_offset << 2) + 20);
            if (headers.tcp_mss.mss > largest_segment) {
                bridged.mss = largest_segment;
            }
        }
        if (ingress.ip_length > ingress.mtu) {
            if (ingress.role == ROLE_ACCESS || ingress.role == ROLE_FABRIC) {
                // The controller tells the sender what would have fitted. Also without IPv4's DF: a router should
                // cut such a packet in pieces, which a switch cannot; its sender can, once it knows.
                ingress.punt_reason = PUNT_TOO_BIG;
                ingress.verdict = VERDICT_PUNT;
            } else {
                // The controller's own, and reports: nobody to tell.
                ingress.drop_reason = DROP_TOO_BIG;
            }
        }
    }
}

#endif  // DIN_PATHS_P4_
