/* SPDX-License-Identifier: Apache-2.0
 *
 * A device: one program's state, the traffic manager, the ports. One lock guards all of it; the worker
 * takes it for a burst of packets, control calls (control.h) for one operation or a whole batch.
 */
#ifndef P4JIT_DEVICE_H
#define P4JIT_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core.h"
#include "events.h"
#include "link.h"
#include "meter.h"
#include "pool.h"
#include "port.h"
#include "profile.h"
#include "random.h"
#include "replication.h"
#include "table.h"
#include "tm.h"
#include "value_set.h"

#define P4_BURST 64u           /* packets received at a time */
#define P4_DRAIN_EVERY P4_ACCEPTED /* ingress passes between two visits to the queues: a burst fits any of them */
#define P4_POOL_PACKETS 16384u /* a device's packets; memory is committed as they are used */
#define P4_NO_PORT P4_NONE

typedef struct p4_device_config {
  bool virtual_clock;      /* time is stepped by the caller; there is no worker */
  bool clamp_priority;     /* a priority beyond the queues takes the top queue instead of being dropped */
  uint8_t reserved[2];
  uint32_t queues;         /* 1..P4_MAX_QUEUES */
  uint32_t drop_port;
  uint32_t cpu_port;       /* P4_NO_PORT: none */
  uint64_t seed;
} p4_device_config;

/* Packets that ended in the device, by reason. */
typedef struct p4_drops {
  uint64_t program;        /* the program said so */
  uint64_t no_port;        /* no such port, or none added */
  uint64_t queue_full;
  uint64_t priority;       /* no queue of that priority */
  uint64_t no_buffer;      /* the packet pool was empty */
  uint64_t assertion;      /* assert() or assume() failed */
  uint64_t link;           /* lost on an emulated link, or beyond its limit */
  uint64_t input_full;     /* resubmitted or recirculated while too many were waiting */
  uint64_t no_program;     /* arrived before a program was loaded */
} p4_drops;

/* Frames that left by a memory port: records of {uint64_t time, uint32_t port, uint32_t length, bytes}. */
typedef struct p4_outputs {
  uint8_t *bytes;
  size_t used, room;
  bool discard;            /* count only: for benchmarks */
} p4_outputs;

typedef struct p4_port_slot {
  p4_port *port;
  p4_link *link;
  p4_packet *waiting[P4_BURST]; /* left the queues, not yet taken by the port */
  uint32_t waiting_count;
  uint64_t retry;               /* when to offer them again; P4_NEVER unless the port refused some */
} p4_port_slot;

struct p4_device {
  p4_context context;      /* what generated code sees */
  p4_device_config config;
  pthread_mutex_t lock;    /* recursive: a frozen device takes further calls of the same thread */
  atomic_uint waiting;     /* control calls at the lock: the worker lets them by */

  const p4_program *program;
  void *library;
  p4_pool pool;
  void *scratch;           /* one PHV */
  p4_tm *tm;
  p4_replication *replication;
  p4_port_slot *slots[P4_MAX_PORTS];
  uint16_t port_numbers[P4_MAX_PORTS]; /* those with a slot */
  uint32_t port_count;
  p4_port_map up;
  p4_packet *input_head, **input_tail; /* resubmitted and recirculated: served before new packets */
  uint32_t input_count;
  p4_drops drops;
  p4_events *events;
  p4_outputs outputs;

  uint64_t now;
  uint64_t start;          /* CLOCK_MONOTONIC at time 0 */
  uint64_t epoch;          /* CLOCK_REALTIME at time 0 */
  uint64_t next_idle_check;

  p4_monitor monitor;
  bool monitoring;
  int epoll_fd, wake_fd;
  pthread_t worker;
  bool running;
  atomic_bool stop;
};

/* Nanoseconds on a clock of the operating system. */
uint64_t p4_clock(clockid_t);

/* Close a port's slot whose packets were released. */
void p4_port_slot_free(p4_port_slot *);

/* ---- passes.c: what happens to packets. The lock is held. ------------------------------------------- */

/* The time; on a wall clock also moves device->now forward. */
uint64_t p4_device_time(p4_device *);

/* Give frames in pool packets, at most P4_DRAIN_EVERY, to the program. Takes the packets. */
void p4_device_accept(p4_device *, p4_packet *const *, uint32_t count);

/* Do all that is due at device->now: deliveries, waiting passes, queues, timers. `passes` bounds the passes
 * of recirculated and resubmitted packets, and those of clones from egress; returns false when it ran out. */
bool p4_device_settle(p4_device *, uint64_t passes);

/* When p4_device_settle next has something to do, should nothing arrive. */
uint64_t p4_device_next_event(p4_device *);

/* Release every packet the device holds. */
void p4_device_flush(p4_device *);

#endif
