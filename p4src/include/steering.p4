// SPDX-License-Identifier: Apache-2.0
// Which instance answers a request: decided for aggregates, kept for connections.
//
//   groups      (service, tenant, class, label) -> steering group: the instances that such traffic may reach
//   members     (group, instance of the session cookie) -> the cookie is honoured
//   buckets     (group, 10 bits of the flow hash) -> instance; while the bucket moves, from which one to which
//   affinity    connections that began while their bucket was moving (the target's)
//   liveness    instance -> it stands; what a cookie or the cache says counts only then
//
// A controller shifts load by rewriting buckets, a few at a time, and no connection notices:
//
//   stable            all packets take the instance.
//   moving            a SYN takes `current` and is remembered; what is not remembered is older and takes `previous`.
//   moving, drained   what has no beginning that a switch could see (UDP, fragments, services hashed by address) took
//                     `previous` up to here and takes `current` from now on.
//   stable            of `current`, when the connections of `previous` have ended or have had their time.
//
// `previous` is where the connections are that nothing remembers. To give up a move is therefore to make the bucket
// stable with `previous` again, never to swap the two.

#ifndef DIN_STEERING_P4_
#define DIN_STEERING_P4_

#include "ids.p4"
#include "metadata.p4"

typedef bit<2> bucket_state_t;
const bucket_state_t BUCKET_STABLE  = 0;
const bucket_state_t BUCKET_MOVING  = 1;
const bucket_state_t BUCKET_DRAINED = 2;  // moving, UDP drained

struct bucket_t {
    instance_id_t  current;
    instance_id_t  previous;
    bucket_state_t state;
}

control Steering(in headers_t headers, inout ingress_metadata_t ingress) {
    Affinity() affinity;

    bucket_t bucket = { 0, 0, BUCKET_STABLE };
    // What a cookie or the affinity cache says; 0: nothing.
    instance_id_t remembered = 0;
    bit<1> opens = 0;
    bit<1> closes = 0;
    bit<1> moving = 0;

    // ---- groups ----------------------------------------------------------------------------------------

    @id(SET_GROUP_ACTION_ID)
    @action_restriction("group > 0 && group < 4096")  // GROUPS_SIZE
    action set_group(@id(1) @refers_to(buckets , group) group_id_t group) {
        ingress.group = group;
    }

    // A label that no group has is steered nowhere, rather than to an instance that may not see it.
    @id(NO_GROUP_ACTION_ID)
    action no_group() {
        ingress.drop_reason = DROP_NO_GROUP;
    }

    @id(GROUPS_TABLE_ID)
    @entry_restriction("service != 0 && class_id < 16")
    table groups {
        key = {
            ingress.service  : exact @id(1) @name("service");
            ingress.tenant   : exact @id(2) @name("tenant");
            ingress.class_id : exact @id(3) @name("class_id");
            ingress.label    : exact @id(4) @name("label");
        }
        actions = {
            set_group;
            @defaultonly no_group;
        }
        const default_action = no_group();
        size = GROUPS_SIZE;
    }

    // ---- members ---------------------------------------------------------------------------------------

    @id(HONOUR_COOKIE_ACTION_ID)
    action honour_cookie() {
        remembered = ingress.cookie;
    }

    // An instance that gets no new connections stays a member until its sessions are over. A cookie for another group
    // is like none: a session follows its label, not its cookie.
    @id(MEMBERS_TABLE_ID)
    @entry_restriction("group != 0 && instance > 0 && instance < 4096")  // INSTANCES_SIZE
    table members {
        key = {
            ingress.group  : exact @id(1) @name("group");
            ingress.cookie : exact @id(2) @name("instance");
        }
        actions = {
            honour_cookie;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = MEMBERS_SIZE;
    }

    // ---- buckets ---------------------------------------------------------------------------------------

    // Instances are < INSTANCES_SIZE. A stable bucket has one, a moving one has two.
    @id(SET_BUCKET_ACTION_ID)
    @action_restriction("
        current > 0 && current < 4096;
        previous > 0 && previous < 4096;
        state < 3;
        state == 0 -> previous == current;
        state != 0 -> previous != current
    ")
    action set_bucket(@id(1) instance_id_t current, @id(2) instance_id_t previous, @id(3) bucket_state_t state) {
        bucket.current = current;
        bucket.previous = previous;
        bucket.state = state;
    }

    @id(BUCKETS_TABLE_ID)
    @entry_restriction("group != 0")
    table buckets {
        key = {
            ingress.group          : exact @id(1) @name("group");
            ingress.flow_hash[9:0] : exact @id(2) @name("bucket");
        }
        actions = {
            set_bucket;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = BUCKETS_SIZE;
    }

    // ---- liveness --------------------------------------------------------------------------------------

    @id(FORGET_ACTION_ID)
    action forget() {
        remembered = 0;
    }

    // One entry an instance: deleting it leaves the instance at once, before a bucket is rewritten.
    @id(LIVENESS_TABLE_ID)
    @entry_restriction("instance > 0 && instance < 4096")  // INSTANCES_SIZE
    table liveness {
        key = {
            remembered : exact @id(1) @name("instance");
        }
        actions = {
            NoAction;
            @defaultonly forget;
        }
        const default_action = forget();
        size = INSTANCES_SIZE;
    }

    apply {
        groups.apply();
        if (ingress.drop_reason == DROP_NONE) {
            buckets.apply();
            ingress.instance = bucket.previous;
            if (bucket.state != BUCKET_STABLE) {
                moving = 1;
            }
            if (ingress.cookie != 0) {
                members.apply();
            }
            if (remembered == 0) {
                // A connection is what has ports, in all its packets: not fragments, nor what is hashed by address.
                if (ingress.flow.protocol == PROTOCOL_TCP && ingress.flow.dst_port != 0 && ingress.by_address == 0) {
                    if (headers.tcp.isValid()) {
                        if ((headers.tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
                            opens = 1;
                        }
                        if ((headers.tcp.flags & (TCP_RST | TCP_FIN)) != 0) {
                            closes = 1;
                        }
                    }
                    affinity.apply(ingress, opens, closes, moving, bucket.current, ingress.instance, remembered);
                } else if (bucket.state == BUCKET_DRAINED) {
                    ingress.instance = bucket.current;
                }
            }
            if (remembered != 0) {
                liveness.apply();
            }
            // Forgotten, a packet takes what one takes that was never remembered: so do all of its flow.
            if (remembered != 0) {
                ingress.instance = remembered;
            }
            if (ingress.instance == 0) {
                ingress.drop_reason = DROP_NO_INSTANCE;
            }
        }
    }
}

#endif  // DIN_STEERING_P4_
