// SPDX-License-Identifier: Apache-2.0
// Where hosts are: for responses, and for all traffic that no service is involved in.
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

    // No path is needed, and none has a latency.
    @id(TO_FUNCTION_ACTION_ID)
    @action_restriction("function != 0")
    action to_function(@id(1) @refers_to(functions , function) function_id_t function) {
        ingress.function = function;
        ingress.slack = initial_slack(ingress.deadline, 0);
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
            }
        }
    }
}

#endif  // DIN_DESTINATIONS_P4_
