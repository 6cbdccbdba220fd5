// SPDX-License-Identifier: Apache-2.0
// Where hosts are: for responses, for all traffic that no service is involved in, and at the end of a path that names
// no function (srv6.p4, end_lookup).
//
//   destinations: (tenant, longest prefix) -> another leaf, or a local function when the host is on this one

#ifndef DIN_DESTINATIONS_P4_
#define DIN_DESTINATIONS_P4_

#include "ids.p4"
#include "metadata.p4"
#include "deadlines.p4"

control Destinations(inout ingress_metadata_t ingress) {
    @id(TO_LEAF_ACTION_ID)
    @action_restriction("leaf != 0")
    action to_leaf(@id(1) @refers_to(paths , target) leaf_id_t leaf) {
        ingress.leaf = leaf;
    }

    // No path is needed, and none has a latency. At the end of one, slack is what the path has left of it.
    @id(TO_FUNCTION_ACTION_ID)
    @action_restriction("function != 0")
    action to_function(@id(1) @refers_to(functions , function) function_id_t function) {
        ingress.function = function;
        if (ingress.verdict == VERDICT_NONE) {
            ingress.slack = initial_slack(ingress.deadline, 0);
        }
    }

    @id(NO_DESTINATION_ACTION_ID)
    action no_destination() {
        ingress.drop_reason = DROP_NO_DESTINATION;
    }

    @id(DESTINATIONS_TABLE_ID)
    table destinations {
        key = {
            ingress.tenant        : exact @id(1) @name("tenant");
            ingress.flow.dst_addr : lpm   @id(2) @name("dst_addr");
        }
        actions = {
            to_leaf;
            to_function;
            @defaultonly no_destination;
        }
        const default_action = no_destination();
        size = DESTINATIONS_SIZE;
    }

    apply {
        if (ingress.is_ip == 0) {
            ingress.drop_reason = DROP_ETHERTYPE;
        } else {
            destinations.apply();
            if (ingress.drop_reason != DROP_NONE && ingress.role == ROLE_ACCESS) {
                // A host is owed an answer, which the controller writes: destination unreachable.
                ingress.drop_reason = DROP_NONE;
                ingress.punt_reason = PUNT_NO_DESTINATION;
                ingress.verdict = VERDICT_PUNT;
            } else if (ingress.drop_reason == DROP_NONE && ingress.verdict == VERDICT_DELIVER &&
                       ingress.function == 0) {
                // The path ended at a leaf that does not have the host. Sent on, it could come back.
                ingress.drop_reason = DROP_FUNCTION;
            }
        }
    }
}

#endif  // DIN_DESTINATIONS_P4_
