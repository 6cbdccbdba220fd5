/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which simple_switch_grpc copies to the replicas of a P4Runtime multicast group or clone
 * session, which is not the order they are written in. P4Runtime defines none; a program whose copies share a
 * port shows it.
 */
#ifndef P4JIT_REPLICATION_ORDER_H
#define P4JIT_REPLICATION_ORDER_H

#include "replication.h"

/* Sort replicas for p4_replication_set_group or _session. `before` is the set they replace, NULL for a new
 * one. Returns 0, or -1 and changes nothing when there is no memory or count is above P4_MAX_REPLICAS. */
int p4_replication_order(const p4_replica_set *before, p4_replica *replicas, uint32_t count);

#endif
