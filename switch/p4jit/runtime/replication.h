/* SPDX-License-Identifier: Apache-2.0
 *
 * The packet replication engine (PRE): multicast groups and clone sessions, each a list of replicas. Copies
 * are made in the order of the list.
 */
#ifndef P4JIT_REPLICATION_H
#define P4JIT_REPLICATION_H

#include "core.h"

#define P4_MAX_GROUP 65535u    /* multicast groups are 1..65535 */
#define P4_MAX_SESSION 32767u  /* clone sessions are 0..32767 */
#define P4_MAX_REPLICAS 4096u  /* of one group or session */
#define P4_MAX_BACKUPS 64u     /* of one replica */

/* One copy: where it goes and its egress_rid. */
typedef struct p4_copy {
  uint16_t port;
  uint16_t rid;
} p4_copy;

/* A copy and, in order of preference, those made in its place while its port is down. */
typedef struct p4_replica {
  p4_copy primary;
  uint32_t backup_count;
  const p4_copy *backups;
} p4_replica;

typedef struct p4_replica_set {
  uint32_t count;
  uint32_t class_of_service; /* clone sessions: the copies' priority */
  uint32_t truncate;         /* clone sessions: bytes kept of a copy, 0 for all */
  p4_replica replicas[];
} p4_replica_set;

typedef struct p4_replication p4_replication;

/* What `up` arguments point to: a bit a port, set while it is up. */
typedef struct p4_port_map {
  uint64_t words[P4_MAX_PORTS / 64];
} p4_port_map;

P4_INLINE bool p4_port_map_get(const p4_port_map *map, uint32_t port) {
  return map->words[port / 64] >> (port % 64) & 1;
}

P4_INLINE void p4_port_map_put(p4_port_map *map, uint32_t port, bool value) {
  uint64_t bit = (uint64_t)1 << (port % 64);
  map->words[port / 64] = value ? map->words[port / 64] | bit : map->words[port / 64] & ~bit;
}

/* Returns NULL when there is no memory. */
p4_replication *p4_replication_new(void);
void p4_replication_free(p4_replication *pre);

/* Create or replace, copying what is given. Both return 0, or -1 and change nothing when there is no memory
 * or an argument is out of bounds: the identifier, a port (P4_MAX_PORTS), the number of replicas or backups,
 * the same (port, rid) twice among the primaries, or a replica that has one port twice. A group or session
 * without replicas makes no copies. */
int p4_replication_set_group(p4_replication *pre, uint32_t group, const p4_replica *replicas, uint32_t count);
int p4_replication_set_session(p4_replication *pre, uint32_t session, const p4_replica *replicas, uint32_t count,
                               uint32_t class_of_service, uint32_t truncate);

/* Return 0, or -1 when there is none. */
int p4_replication_delete_group(p4_replication *pre, uint32_t group);
int p4_replication_delete_session(p4_replication *pre, uint32_t session);

/* The set, valid until it is replaced or deleted; NULL when there is none, for any identifier. */
const p4_replica_set *p4_replication_group(const p4_replication *pre, uint32_t group);
const p4_replica_set *p4_replication_session(const p4_replication *pre, uint32_t session);

/* Forget all groups and sessions. */
void p4_replication_clear(p4_replication *pre);

/* The copy a replica makes now: the most preferred one whose port is up. With all of them down it is the
 * primary, which its port then drops: egress runs as it does for a replica without backups (P4Runtime 1.5,
 * MulticastGroupEntry, allows this or no copy). */
P4_INLINE p4_copy p4_replica_choose(const p4_replica *replica, const p4_port_map *up) {
  if (P4_LIKELY(replica->backup_count == 0) || p4_port_map_get(up, replica->primary.port))
    return replica->primary;
  for (uint32_t i = 0; i < replica->backup_count; i++)
    if (p4_port_map_get(up, replica->backups[i].port))
      return replica->backups[i];
  return replica->primary;
}

#endif
