/* SPDX-License-Identifier: Apache-2.0
 *
 * Action profiles and selectors: members (an action with its data) and groups of them, which table entries
 * refer to by handle.
 *
 * A group's packets spread over its places: each member that is up has as many as its weight, in ascending
 * order of handles, so that with equal weights and all members up the choice is bmv2's. A member that
 * watches a port is down while the port is.
 */
#ifndef P4JIT_PROFILE_H
#define P4JIT_PROFILE_H

#include <string.h>

#include "core.h"
#include "handles.h"
#include "status.h"

#define P4_MAX_GROUP_PLACES 65536u /* the sum of a group's weights */
#define P4_MIN_MAX_GROUPS 65536u   /* a profile takes this many groups, or its size if that is more */

typedef struct p4_group_member {
  uint32_t member;
  uint32_t weight;           /* at least 1 */
  uint32_t watch_port;       /* P4_NONE: always up */
} p4_group_member;

typedef struct p4_watch p4_watch; /* profile.c: a group's member in the list of its port */

typedef struct p4_group {
  uint32_t *places;          /* member handles */
  uint32_t size;             /* places in use; 0 when no member is up */
  uint32_t member_count;
  p4_watch *members;         /* in ascending order of handles */
  uint32_t references;       /* table entries */
  uint64_t rebuilt;          /* the profile's generation when places was made */
} p4_group;

typedef struct p4_member_uses {
  uint32_t entries;
  uint32_t groups;
} p4_member_uses;

struct p4_profile {
  uint8_t *members;          /* p4_entry by handle; unused ones have handle P4_NONE */
  uint64_t member_stride;
  p4_group *groups;          /* by handle */
  uint32_t member_capacity;
  uint32_t group_capacity;
  p4_member_uses *uses;      /* by member handle */
  p4_handles member_handles;
  p4_handles group_handles;
  uint32_t data_bytes;
  uint32_t max_members;
  uint32_t max_groups;
  uint64_t generation;
  uint64_t references;       /* of all table entries */
  p4_watch *watches[P4_MAX_PORTS];
  bool up[P4_MAX_PORTS];
};

P4_INLINE p4_entry *p4_profile_member_at(p4_profile *p, uint32_t handle) {
  if (handle >= p->member_capacity) return NULL;
  p4_entry *member = (p4_entry *)(p->members + handle * p->member_stride);
  return member->handle != P4_NONE ? member : NULL;
}

/* The member a table entry refers to (its action is P4_ACTION_MEMBER); NULL if there is none. */
P4_INLINE p4_entry *p4_profile_member(p4_profile *p, const p4_entry *e) {
  uint32_t handle;
  memcpy(&handle, e->data, sizeof handle);
  return p4_profile_member_at(p, handle);
}

/* The member that a hash chooses from the group a table entry refers to (its action is P4_ACTION_GROUP);
 * NULL when there is no such group or none of its members is up. */
P4_INLINE p4_entry *p4_profile_pick(p4_profile *p, const p4_entry *e, uint64_t hash) {
  uint32_t handle;
  memcpy(&handle, e->data, sizeof handle);
  if (handle >= p->group_capacity) return NULL;
  const p4_group *group = &p->groups[handle];
  if (group->size == 0) return NULL;
  return (p4_entry *)(p->members + group->places[hash % group->size] * p->member_stride);
}

/* ---- control. All return 0 or an enum p4_status -------------------------------------------------------- */

/* An empty profile for actions with at most data_bytes (a multiple of 8) of data and at most max_size
 * members. Every port is down until p4_profile_port_changed says otherwise. */
int p4_profile_init(p4_profile *p, uint32_t data_bytes, uint32_t max_size);
void p4_profile_free(p4_profile *p);
/* Remove all groups and members; the ports' states stay. P4_IN_USE if a table entry refers to any. */
int p4_profile_clear(p4_profile *p);

/* The smallest free handle is given. The data is copied, the rest of it zero. P4_FULL, P4_INVALID. */
int p4_profile_member_add(p4_profile *p, uint32_t action, const void *data, uint32_t data_length, uint32_t *handle);
int p4_profile_member_modify(p4_profile *p, uint32_t handle, uint32_t action, const void *data,
                             uint32_t data_length);
/* P4_IN_USE: a group holds it or a table entry refers to it. */
int p4_profile_member_delete(p4_profile *p, uint32_t handle);
/* NULL if there is none; valid until the next control call. */
p4_entry *p4_profile_member_get(p4_profile *p, uint32_t handle);

/* P4_NOT_FOUND: a member that does not exist; P4_INVALID: one twice, a weight of 0 or a port beyond the
 * device's; P4_FULL: too many groups, or weights that sum to more than P4_MAX_GROUP_PLACES. */
int p4_profile_group_add(p4_profile *p, const p4_group_member *members, uint32_t count, uint32_t *handle);
/* Replace the members. */
int p4_profile_group_modify(p4_profile *p, uint32_t handle, const p4_group_member *members, uint32_t count);
/* P4_IN_USE: a table entry refers to it. */
int p4_profile_group_delete(p4_profile *p, uint32_t handle);
/* The first `max` members, in ascending order of handles, and how many there are. */
int p4_profile_group_get(const p4_profile *p, uint32_t handle, p4_group_member *members, uint32_t max,
                         uint32_t *count);

void p4_profile_port_changed(p4_profile *p, uint32_t port, bool up);

/* Count a table entry that refers to a member or group. `action` is P4_ACTION_MEMBER or P4_ACTION_GROUP;
 * P4_NOT_FOUND if it does not exist. */
int p4_profile_reference(p4_profile *p, uint32_t action, uint32_t handle);
void p4_profile_unreference(p4_profile *p, uint32_t action, uint32_t handle);

#endif
