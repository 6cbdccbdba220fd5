// SPDX-License-Identifier: Apache-2.0
// Which queue. Eight strict priorities, the highest number first:
//
//   7 control   6 deterministic   5..2 scheduled by deadline   1 KV-cache transfers   0 training, best effort
//
//   classes: class -> a queue (set_queue), SP-PIFO over the middle ones by rank (schedule), or a queue for each range
//   of slack (map_slack, slack_queues). A switch with fewer queues has entries that collapse classes into them.

#ifndef DIN_QUEUEING_P4_
#define DIN_QUEUEING_P4_

#include "ids.p4"
#include "metadata.p4"

control Queueing(inout ingress_metadata_t ingress) {
    SpPifo() sp_pifo;
    bit<1> by_rank = 0;
    bit<1> by_slack = 0;

    @id(SET_QUEUE_ACTION_ID)
    @action_restriction("queue < 8")
    action set_queue(@id(1) queue_id_t queue) {
        ingress.queue = queue;
    }

    // Least slack first (UPS, NSDI'16): rank = local arrival + remaining slack, on SP-PIFO's queues (NSDI'20).
    @id(SCHEDULE_ACTION_ID)
    action schedule() {
        by_rank = 1;
    }

    @id(MAP_SLACK_ACTION_ID)
    action map_slack() {
        by_slack = 1;
    }

    @id(CLASSES_TABLE_ID)
    @entry_restriction("class_id < 16")
    table classes {
        key = {
            ingress.class_id : exact @id(1) @name("class_id");
        }
        actions = {
            set_queue;
            schedule;
            map_slack;
        }
        // Queue 0 is the one that every switch has.
        default_action = set_queue(QUEUE_BEST_EFFORT);
        size = 16;
    }

    @id(SET_SLACK_QUEUE_ACTION_ID)
    @action_restriction("queue < 8")
    action set_slack_queue(@id(1) queue_id_t queue) {
        ingress.queue = queue;
    }

    @id(SLACK_QUEUES_TABLE_ID)
    table slack_queues {
        key = {
            ingress.slack : lpm @id(1) @name("slack");
        }
        actions = {
            set_slack_queue;
        }
        default_action = set_slack_queue(QUEUE_BEST_EFFORT);
        size = 64;
    }

    apply {
        classes.apply();
        if (by_rank == 1) {
            sp_pifo.apply(ingress.egress_port, ingress.timestamp[31:0], ingress.slack, ingress.queue);
        } else if (by_slack == 1) {
            slack_queues.apply();
        }
    }
}

// Egress: what waiting has cost. A slack that has run out is 0.
control Slack(inout headers_t headers, inout bridged_metadata_t bridged, inout egress_metadata_t egress) {
    apply {
        if (bridged.slack[31:31] == 0) {
            bridged.slack = bridged.slack |-| egress.wait;
            if (bridged.slack == 0 && bridged.late_drop == 1) {
                egress.drop_reason = DROP_DEADLINE;
            }
        }
        if (headers.fabric.din.isValid()) {
            headers.fabric.din.slack = bridged.slack;
        }
    }
}

#endif  // DIN_QUEUEING_P4_
