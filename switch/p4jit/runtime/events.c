/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOFT_LIMIT (16u << 20) /* bytes */
#define HARD_LIMIT (64u << 20)

struct p4_events {
  pthread_mutex_t lock;
  pthread_cond_t news;
  uint8_t *bytes;
  size_t start, end, room; /* records lie in [start, end) */
  uint64_t lost;
  bool wake;
};

p4_events *p4_events_new(void) {
  p4_events *e = calloc(1, sizeof *e);
  if (e == NULL) return NULL;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->news, &attributes);
  pthread_condattr_destroy(&attributes);
  return e;
}

void p4_events_free(p4_events *e) {
  if (e == NULL) return;
  pthread_cond_destroy(&e->news);
  pthread_mutex_destroy(&e->lock);
  free(e->bytes);
  free(e);
}

/* Room for `size` more bytes at the end: by moving records to the front, or by growing. */
static bool make_room(p4_events *e, size_t size) {
  if (e->end + size <= e->room) return true;
  size_t used = e->end - e->start;
  if (e->start > 0) {
    memmove(e->bytes, e->bytes + e->start, used);
    e->start = 0;
    e->end = used;
  }
  if (e->end + size <= e->room) return true;
  size_t room = e->room ? e->room * 2 : 4096;
  while (room < e->end + size) room *= 2;
  uint8_t *bytes = realloc(e->bytes, room);
  if (bytes == NULL) return false;
  e->bytes = bytes;
  e->room = room;
  return true;
}

void p4_events_put(p4_events *e, uint32_t kind, uint32_t index, uint32_t detail, uint64_t time, const void *bytes,
                   uint32_t length) {
  size_t size = sizeof(p4_event) + ((size_t)length + 7) / 8 * 8;
  bool bulk = kind == P4_EVENT_DIGEST || kind == P4_EVENT_PACKET_IN || kind == P4_EVENT_LOG;
  pthread_mutex_lock(&e->lock);
  if (e->end - e->start + size > (bulk ? SOFT_LIMIT : HARD_LIMIT) || !make_room(e, size)) {
    e->lost++;
  } else {
    const p4_event head = {kind, index, detail, length, time};
    memcpy(e->bytes + e->end, &head, sizeof head);
    if (length > 0) memcpy(e->bytes + e->end + sizeof head, bytes, length);
    e->end += size;
    pthread_cond_signal(&e->news);
  }
  pthread_mutex_unlock(&e->lock);
}

static size_t record_bytes(const p4_events *e, size_t at) {
  p4_event head;
  memcpy(&head, e->bytes + at, sizeof head);
  return sizeof head + ((size_t)head.length + 7) / 8 * 8;
}

int64_t p4_events_read(p4_events *e, uint8_t *out, uint64_t room, uint64_t timeout) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)(timeout / 1000000000u);
  until.tv_nsec += (long)(timeout % 1000000000u);
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&e->lock);
  while (e->start == e->end && !e->wake && timeout > 0)
    if (pthread_cond_timedwait(&e->news, &e->lock, &until) != 0) break;
  e->wake = false;
  size_t last = e->start;
  while (last < e->end) {
    size_t size = record_bytes(e, last);
    if (last + size - e->start > room) break;
    last += size;
  }
  int64_t moved = (int64_t)(last - e->start);
  if (moved == 0 && e->start < e->end) {
    moved = -1;
  } else if (moved > 0) {
    memcpy(out, e->bytes + e->start, (size_t)moved);
    e->start = last;
    if (e->start == e->end) e->start = e->end = 0;
  }
  pthread_mutex_unlock(&e->lock);
  return moved;
}

uint64_t p4_events_room(p4_events *e) {
  pthread_mutex_lock(&e->lock);
  uint64_t room = e->start < e->end ? record_bytes(e, e->start) : 0;
  pthread_mutex_unlock(&e->lock);
  return room;
}

uint64_t p4_events_lost(p4_events *e) {
  pthread_mutex_lock(&e->lock);
  uint64_t lost = e->lost;
  pthread_mutex_unlock(&e->lock);
  return lost;
}

void p4_events_wake(p4_events *e) {
  pthread_mutex_lock(&e->lock);
  e->wake = true;
  pthread_cond_broadcast(&e->news);
  pthread_mutex_unlock(&e->lock);
}
