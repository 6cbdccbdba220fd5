/* SPDX-License-Identifier: Apache-2.0
 *
 * Idle timeouts of a table's entries. Hits touch nothing here: each entry is in a heap at the earliest time it
 * can expire, and one that was hit is put back when that time comes.
 */
#ifndef P4JIT_TIMEOUTS_H
#define P4JIT_TIMEOUTS_H

#include "core.h"

typedef struct p4_deadline {
  uint64_t time;
  uint32_t handle;
} p4_deadline;

/* All zero is empty. */
typedef struct p4_timeouts {
  p4_deadline *heap;
  uint32_t count;
  uint32_t capacity;         /* of all the arrays */
  /* By handle: */
  uint32_t *position;        /* in the heap; P4_NONE: no timeout */
  uint64_t *timeout;         /* ns */
  uint64_t *since;           /* when the timeout was set */
  uint64_t *reported;        /* last_hit + 1 when it was reported as expired; 0 if it was not */
} p4_timeouts;

void p4_timeouts_free(p4_timeouts *q);
/* Give an entry a timeout that counts from now on at the earliest; 0 takes it away. False: no memory. */
bool p4_timeouts_set(p4_timeouts *q, uint32_t handle, uint64_t timeout, uint64_t now);
void p4_timeouts_remove(p4_timeouts *q, uint32_t handle);
/* The entry to look at next when its time is not later than now, or P4_NONE. */
uint32_t p4_timeouts_due(const p4_timeouts *q, uint64_t now);
/* Look at that entry: whether it has expired and was not reported since its last hit. */
bool p4_timeouts_check(p4_timeouts *q, uint64_t last_hit, uint64_t now);

#endif
