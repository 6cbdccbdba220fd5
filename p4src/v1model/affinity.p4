// SPDX-License-Identifier: Apache-2.0
// Which connections began while their bucket was moving: a cache that steering asks, and never more than a cache.
//
//   cell, by hash of flow and group:  owner (flow hash) | instance | state | time of the last packet
//
// Steering's law is that every packet of a connection reaches the instance that its SYN did. A packet that finds no
// cell of its own goes where the bucket's older connections are (`previous`). So a SYN may go to `current` only
// if a cell will tell for as long as the bucket moves, and what happens here follows from that:
//
//   SYN, moving       cell free, stale or the flow's own: it is written, current.
//                     Another's: previous, as this flow's later packets, which find nothing, will too. No connection
//                     breaks; this one moves later. `affinity_starts` counts how many.
//   SYN, stable       a cell of its own is of an earlier connection: freed.
//   other, own cell   its instance. Once the bucket is stable with that very instance, the cell says nothing that
//                     the bucket does not: freed.
//   other, no cell    nothing is known: previous.
//
// A cell is stale once idle for longer than its connection could be expected to be (RFC 5382, REQ-5, which asks
// the same of NATs): `transitory` while only a SYN has been seen, or after a FIN or RST; `established` otherwise.
// Neither FIN nor RST frees a cell: the other side may go on for long and is acknowledged, or has to be told again.
// Losing a stale cell is harmless if its bucket's move is over and was not given up: a controller lets no move last
// longer than `established`. Cells in use are what costs: with n of 65,536 in use, that share of the connections
// that begin in moving buckets is delayed.
//
// A SYN that is sent again while its bucket's entry changes may reach another instance than the first did. Should
// both answer, the client goes on with the first, which may not be the one that its packets go to now: it then has
// to begin anew. Nothing was established before.

#ifndef DIN_V1MODEL_AFFINITY_P4_
#define DIN_V1MODEL_AFFINITY_P4_

#include "ids.p4"
#include "metadata.p4"

// In units of 2^20 us, about a second; it wraps in 4.7 hours. A cell that looks young because of that only delays.
typedef bit<14> affinity_time_t;

typedef bit<2> affinity_state_t;
const affinity_state_t AFFINITY_FREE        = 0;
const affinity_state_t AFFINITY_OPENING     = 1;
const affinity_state_t AFFINITY_ESTABLISHED = 2;
const affinity_state_t AFFINITY_CLOSING     = 3;

// `choice` comes in as what a packet takes that is not remembered. `remembered` is 0 if this one is not.
control Affinity(in ingress_metadata_t ingress, in bit<1> opens, in bit<1> closes, in bit<1> moving,
                 in instance_id_t current, inout instance_id_t choice, out instance_id_t remembered) {
    @id(AFFINITY_REGISTER_ID)
    register<bit<64>>(AFFINITY_SIZE) affinity_cells;

    // SYNs in moving buckets, at group * 2 + whether another flow's cell was in the way.
    @id(AFFINITY_STARTS_COUNTER_ID)
    counter(GROUPS_SIZE * 2, CounterType.packets) affinity_starts;

    affinity_time_t established_timeout = 0;
    affinity_time_t transitory_timeout = 0;
    bit<32> index = 0;
    bit<1> collided = 0;

    @id(SET_AFFINITY_TIMEOUTS_ACTION_ID)
    action set_affinity_timeouts(@id(1) affinity_time_t established, @id(2) affinity_time_t transitory) {
        established_timeout = established;
        transitory_timeout = transitory;
    }

    // 2 hours 4 minutes and 4 minutes.
    @id(AFFINITY_TIMEOUTS_TABLE_ID)
    table affinity_timeouts {
        actions = {
            set_affinity_timeouts;
        }
        default_action = set_affinity_timeouts(7096, 229);
    }

    action visit(affinity_time_t now) {
        bit<64> cell;
        affinity_cells.read(cell, index);
        bit<32> owner = cell[63:32];
        instance_id_t instance = cell[31:16];
        affinity_state_t state = cell[15:14];
        affinity_time_t idle = now - cell[13:0];
        bit<1> own = 0;
        bit<1> available = 0;
        if (state != AFFINITY_FREE && owner == ingress.flow_hash) {
            own = 1;
        }
        if (own == 1 || state == AFFINITY_FREE || idle > established_timeout ||
            (state != AFFINITY_ESTABLISHED && idle > transitory_timeout)) {
            available = 1;
        }
        if (opens == 1) {
            if (moving == 0) {
                if (own == 1) {
                    cell = 0;
                }
            } else if (available == 1) {
                cell = ingress.flow_hash ++ current ++ AFFINITY_OPENING ++ now;
                choice = current;
            } else {
                collided = 1;
            }
        } else if (own == 1) {
            remembered = instance;
            if (closes == 1) {
                state = AFFINITY_CLOSING;
            } else if (state == AFFINITY_OPENING) {
                state = AFFINITY_ESTABLISHED;
            }
            if (moving == 0 && instance == current) {
                cell = 0;
            } else {
                cell = owner ++ instance ++ state ++ now;
            }
        }
        affinity_cells.write(index, cell);
    }

    apply {
        remembered = 0;
        affinity_timeouts.apply();
        // The group is hashed too: tenants may use the same addresses. Not the function of the flow hash, so that
        // two flows in one cell do not have the same flow hash more often than others.
        hash(index, HashAlgorithm.crc16, 32w0,
             { ingress.group, ingress.flow.src_addr, ingress.flow.dst_addr, ingress.flow.protocol,
               ingress.flow.src_port, ingress.flow.dst_port }, (bit<64>)AFFINITY_SIZE);
        visit(ingress.timestamp[33:20]);
        if (opens == 1 && moving == 1) {
            affinity_starts.count((bit<32>)(ingress.group[11:0] ++ collided));
        }
    }
}

#endif  // DIN_V1MODEL_AFFINITY_P4_
