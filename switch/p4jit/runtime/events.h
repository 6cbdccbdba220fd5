/* SPDX-License-Identifier: Apache-2.0
 *
 * News for the control plane, in order: a bounded queue of records between the packet path and one reader.
 */
#ifndef P4JIT_EVENTS_H
#define P4JIT_EVENTS_H

#include "core.h"

enum p4_event_kind {
  P4_EVENT_DIGEST = 1,      /* index: learn list; bytes: the fields */
  P4_EVENT_PACKET_IN = 2,   /* bytes: the frame */
  P4_EVENT_IDLE = 3,        /* index: table, detail: entry handle */
  P4_EVENT_PORT = 4,        /* index: port, detail: 1 up, 0 down */
  P4_EVENT_LOG = 5,         /* index: message, detail: signs; bytes: two uint64_t an argument */
};

/* A record is this header and `length` bytes, padded to 8. */
typedef struct p4_event {
  uint32_t kind;
  uint32_t index;
  uint32_t detail;
  uint32_t length;
  uint64_t time;            /* ns */
} p4_event;

typedef struct p4_events p4_events;

/* NULL when there is no memory. */
p4_events *p4_events_new(void);
void p4_events_free(p4_events *);

/* Digests, packets and logs are dropped, and counted, while the queue holds over 16 MiB; the rest is kept. */
void p4_events_put(p4_events *, uint32_t kind, uint32_t index, uint32_t detail, uint64_t time, const void *bytes,
                   uint32_t length);

/* Wait up to `timeout` ns for records, and move as many whole ones as fit into `out`; returns their bytes.
 * -1: the next record needs more room than there is (p4_events_room). */
int64_t p4_events_read(p4_events *, uint8_t *out, uint64_t room, uint64_t timeout);
uint64_t p4_events_room(p4_events *); /* bytes of the next record, 0 for none */
uint64_t p4_events_lost(p4_events *);
/* Ends a wait in p4_events_read. */
void p4_events_wake(p4_events *);

#endif
