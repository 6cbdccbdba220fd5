/* SPDX-License-Identifier: Apache-2.0 */
#include "timeouts.h"

#include <stdlib.h>

/* An expired entry is looked at again after its timeout, but not more often than this: nothing else bounds
 * the work that entries with timeouts of a few nanoseconds would make. */
#define REPEAT_NS UINT64_C(1000000)

static uint64_t later(uint64_t time, uint64_t by) { return time + by < time ? P4_NEVER : time + by; }

static void place(p4_timeouts *q, uint32_t at, p4_deadline d) {
  q->heap[at] = d;
  q->position[d.handle] = at;
}

/* Equal times in order of handles, so that reports are reproducible. */
static bool before(p4_deadline a, p4_deadline b) {
  return a.time < b.time || (a.time == b.time && a.handle < b.handle);
}

static void sift(p4_timeouts *q, uint32_t at, p4_deadline d) {
  while (at > 0 && before(d, q->heap[(at - 1) / 4])) {
    place(q, at, q->heap[(at - 1) / 4]);
    at = (at - 1) / 4;
  }
  for (;;) {
    uint32_t least = P4_NONE;
    for (uint64_t child = (uint64_t)at * 4 + 1; child <= (uint64_t)at * 4 + 4 && child < q->count; child++)
      if (least == P4_NONE || before(q->heap[child], q->heap[least])) least = (uint32_t)child;
    if (least == P4_NONE || !before(q->heap[least], d)) break;
    place(q, at, q->heap[least]);
    at = least;
  }
  place(q, at, d);
}

void p4_timeouts_free(p4_timeouts *q) {
  free(q->heap);
  free(q->position);
  free(q->timeout);
  free(q->since);
  free(q->reported);
  *q = (p4_timeouts){0};
}

static bool reserve(p4_timeouts *q, uint32_t handle) {
  if (handle < q->capacity) return true;
  uint32_t capacity = q->capacity == 0 ? 16 : q->capacity;
  while (capacity <= handle) capacity *= 2;
  /* Arrays that did grow before one that could not are only larger than they need to be. */
  p4_deadline *heap = realloc(q->heap, capacity * sizeof *heap);
  if (heap != NULL) q->heap = heap;
  uint32_t *position = realloc(q->position, capacity * sizeof *position);
  if (position != NULL) q->position = position;
  uint64_t *timeout = realloc(q->timeout, capacity * sizeof *timeout);
  if (timeout != NULL) q->timeout = timeout;
  uint64_t *since = realloc(q->since, capacity * sizeof *since);
  if (since != NULL) q->since = since;
  uint64_t *reported = realloc(q->reported, capacity * sizeof *reported);
  if (reported != NULL) q->reported = reported;
  if (heap == NULL || position == NULL || timeout == NULL || since == NULL || reported == NULL) return false;
  for (uint32_t i = q->capacity; i < capacity; i++) q->position[i] = P4_NONE;
  q->capacity = capacity;
  return true;
}

bool p4_timeouts_set(p4_timeouts *q, uint32_t handle, uint64_t timeout, uint64_t now) {
  if (timeout == 0) {
    p4_timeouts_remove(q, handle);
    return true;
  }
  if (!reserve(q, handle)) return false;
  q->timeout[handle] = timeout;
  q->since[handle] = now;
  q->reported[handle] = 0;
  uint32_t at = q->position[handle] != P4_NONE ? q->position[handle] : q->count++;
  sift(q, at, (p4_deadline){later(now, timeout), handle});
  return true;
}

void p4_timeouts_remove(p4_timeouts *q, uint32_t handle) {
  if (handle >= q->capacity || q->position[handle] == P4_NONE) return;
  const uint32_t at = q->position[handle];
  q->position[handle] = P4_NONE;
  q->count--;
  if (at != q->count) sift(q, at, q->heap[q->count]);
}

uint32_t p4_timeouts_due(const p4_timeouts *q, uint64_t now) {
  return q->count != 0 && q->heap[0].time <= now ? q->heap[0].handle : P4_NONE;
}

bool p4_timeouts_check(p4_timeouts *q, uint64_t last_hit, uint64_t now) {
  const uint32_t handle = q->heap[0].handle;
  const uint64_t timeout = q->timeout[handle];
  const uint64_t from = last_hit > q->since[handle] ? last_hit : q->since[handle];
  const bool expired = later(from, timeout) <= now;
  const bool report = expired && q->reported[handle] != last_hit + 1;
  uint64_t next = later(from, timeout);
  if (expired) {
    next = later(now, timeout > REPEAT_NS ? timeout : REPEAT_NS);
    q->reported[handle] = last_hit + 1;
  }
  sift(q, 0, (p4_deadline){next, handle});
  return report;
}
