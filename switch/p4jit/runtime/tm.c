/* SPDX-License-Identifier: Apache-2.0 */
#include "tm.h"

#include <stdlib.h>

#define NANO 1000000000u
#define MOST ((uint64_t)1 << 62) /* of a rate or burst: keeps every product below within 127 bits */

/* ---- shapers -------------------------------------------------------------------------------------- */

/* A token bucket; tokens in 1e-9 units, below zero in debt. */
typedef struct bucket {
  p4_i128 tokens;
  p4_i128 most;
  uint64_t rate; /* units a second; 0 = off */
  uint64_t last; /* ns, when tokens were last added */
} bucket;

typedef struct shaper {
  bucket bits;
  bucket packets;
} shaper;

static void bucket_fill(bucket *b, uint64_t now) {
  if (now <= b->last)
    return;
  p4_i128 tokens = b->tokens + (p4_i128)((p4_u128)b->rate * (now - b->last));
  b->tokens = tokens < b->most ? tokens : b->most;
  b->last = now;
}

/* The time from which the bucket is out of debt: 0 if it is now. */
static uint64_t bucket_ready(bucket *b, uint64_t now) {
  if (b->rate == 0)
    return 0;
  bucket_fill(b, now);
  if (P4_LIKELY(b->tokens >= 0))
    return 0;
  p4_u128 wait = ((p4_u128)-b->tokens + b->rate - 1) / b->rate;
  return wait < P4_NEVER - b->last ? b->last + (uint64_t)wait : P4_NEVER;
}

static void bucket_charge(bucket *b, p4_u128 units) {
  if (b->rate != 0)
    b->tokens -= (p4_i128)(units * NANO);
}

static void bucket_configure(bucket *b, uint64_t rate, p4_u128 burst, uint64_t now) {
  bool was_off = b->rate == 0;
  if (!was_off)
    bucket_fill(b, now);
  p4_i128 full = (p4_i128)(burst * NANO);
  if (was_off || b->tokens > full)
    b->tokens = full;
  b->rate = rate;
  /* Debts are paid at whole nanoseconds: what that leaves over has to be kept, or the rate would be missed. */
  b->most = full > (p4_i128)rate ? full : (p4_i128)rate;
  b->last = now;
}

static uint64_t shaper_ready(shaper *s, uint64_t now) {
  uint64_t bits = bucket_ready(&s->bits, now), packets = bucket_ready(&s->packets, now);
  return bits > packets ? bits : packets;
}

static void shaper_charge(shaper *s, uint64_t bytes, uint64_t packets) {
  bucket_charge(&s->bits, (p4_u128)bytes * 8);
  bucket_charge(&s->packets, packets);
}

/* Configure, create or remove the shaper at *s. */
static int shaper_configure(shaper **s, const p4_shaping *shaping, uint64_t now) {
  if (shaping->rate_bits > MOST || shaping->burst_bytes > MOST || shaping->rate_packets > MOST ||
      shaping->burst_packets > MOST)
    return -1;
  if (shaping->rate_bits == 0 && shaping->rate_packets == 0) {
    free(*s);
    *s = NULL;
    return 0;
  }
  if (*s == NULL && (*s = calloc(1, sizeof **s)) == NULL)
    return -1;
  bucket_configure(&(*s)->bits, shaping->rate_bits, (p4_u128)shaping->burst_bytes * 8, now);
  bucket_configure(&(*s)->packets, shaping->rate_packets, shaping->burst_packets, now);
  return 0;
}

/* ---- ports ---------------------------------------------------------------------------------------- */

typedef struct queue {
  p4_packet *head, *tail; /* tail: only while head is not NULL */
  uint64_t bytes, most_bytes;
  uint32_t packets, most_packets;
  uint64_t sent_packets, sent_bytes;
  uint64_t dropped;
} queue;

/* Where a port is. A port with a backlog that is not blocked is READY or WAITING; READY says only that it is
 * to be looked at, for what it waits is found out when its turn comes. */
enum place { NOWHERE, READY, WAITING };

typedef struct port port;
struct port {
  uint8_t backlog;  /* bit q: queue q is not empty */
  uint8_t shaped;   /* bit q: queue q has a shaper */
  bool blocked;
  uint8_t place;    /* enum place */
  uint16_t slot;    /* WAITING: position in the heap */
  port *next;       /* READY: the port after this one */
  uint64_t hold;    /* ns */
  uint64_t wake;    /* WAITING: ns */
  shaper *shaper;   /* of the whole port, or NULL */
  shaper *shapers[P4_MAX_QUEUES];
  queue queues[];
};

struct p4_tm {
  uint32_t queues;
  uint32_t waiting;         /* ports in the heap */
  port *ready, *last_ready; /* last_ready: only while ready is not NULL */
  uint64_t backlog;
  uint64_t refused;
  port *ports[P4_MAX_PORTS];
  port *heap[P4_MAX_PORTS]; /* WAITING ports, the earliest wake first */
};

p4_tm *p4_tm_new(uint32_t queues) {
  if (queues == 0 || queues > P4_MAX_QUEUES)
    return NULL;
  p4_tm *tm = calloc(1, sizeof *tm);
  if (tm != NULL)
    tm->queues = queues;
  return tm;
}

void p4_tm_free(p4_tm *tm) {
  if (tm == NULL)
    return;
  for (uint32_t p = 0; p < P4_MAX_PORTS; p++) {
    port *port = tm->ports[p];
    if (port == NULL)
      continue;
    free(port->shaper);
    for (uint32_t q = 0; q < tm->queues; q++)
      free(port->shapers[q]);
    free(port);
  }
  free(tm);
}

static port *port_new(p4_tm *tm, uint32_t number) {
  if (number >= P4_MAX_PORTS)
    return NULL;
  port *port = calloc(1, sizeof *port + tm->queues * sizeof(queue));
  if (port == NULL)
    return NULL;
  for (uint32_t q = 0; q < tm->queues; q++)
    port->queues[q].most_packets = P4_TM_DEPTH;
  tm->ports[number] = port;
  return port;
}

/* The port, made if need be; NULL if it cannot exist. */
P4_INLINE port *port_get(p4_tm *tm, uint32_t number) {
  if (P4_LIKELY(number < P4_MAX_PORTS && tm->ports[number] != NULL))
    return tm->ports[number];
  return port_new(tm, number);
}

static void heap_put(p4_tm *tm, uint32_t slot, port *port) {
  tm->heap[slot] = port;
  port->slot = (uint16_t)slot;
}

/* Put a port into the heap at or around a vacant slot. */
static void heap_settle(p4_tm *tm, uint32_t slot, port *port) {
  while (slot > 0 && port->wake < tm->heap[(slot - 1) / 2]->wake) {
    heap_put(tm, slot, tm->heap[(slot - 1) / 2]);
    slot = (slot - 1) / 2;
  }
  for (uint32_t child; (child = 2 * slot + 1) < tm->waiting; slot = child) {
    if (child + 1 < tm->waiting && tm->heap[child + 1]->wake < tm->heap[child]->wake)
      child++;
    if (port->wake <= tm->heap[child]->wake)
      break;
    heap_put(tm, slot, tm->heap[child]);
  }
  heap_put(tm, slot, port);
}

static void port_wait(p4_tm *tm, port *port, uint64_t until) {
  port->place = WAITING;
  port->wake = until;
  heap_settle(tm, tm->waiting++, port);
}

P4_INLINE void ready_append(p4_tm *tm, port *port) {
  port->place = READY;
  port->next = NULL;
  if (tm->ready != NULL)
    tm->last_ready->next = port;
  else
    tm->ready = port;
  tm->last_ready = port;
}

P4_INLINE void ready_pop(p4_tm *tm) {
  tm->ready->place = NOWHERE;
  tm->ready = tm->ready->next;
}

/* Have a port looked at in its turn, since what it waits for may have changed. */
static void port_stir(p4_tm *tm, port *port) {
  if (port->place == READY)
    return;
  if (port->place == WAITING) {
    struct port *last = tm->heap[--tm->waiting];
    if (last != port)
      heap_settle(tm, port->slot, last);
    port->place = NOWHERE;
  }
  if (port->backlog != 0 && !port->blocked)
    ready_append(tm, port);
}

/* The queue to serve, greatest index first; or -1, and when one may be served, should nothing else change. */
static int port_choose_slowly(port *port, uint64_t now, uint64_t *when) {
  *when = P4_NEVER;
  if (port->blocked || port->backlog == 0)
    return -1;
  uint64_t port_ready = now < port->hold ? port->hold : 0;
  if (port->shaper != NULL) {
    uint64_t paid = shaper_ready(port->shaper, now);
    port_ready = paid > port_ready ? paid : port_ready;
  }
  uint64_t queue_ready = P4_NEVER;
  for (unsigned left = port->backlog; left != 0;) {
    int q = 31 - __builtin_clz(left);
    uint64_t ready = port->shaped >> q & 1 ? shaper_ready(port->shapers[q], now) : 0;
    if (ready == 0 && port_ready == 0)
      return q;
    queue_ready = ready < queue_ready ? ready : queue_ready;
    if (queue_ready <= port_ready)
      break;
    left &= ~(1u << q);
  }
  *when = queue_ready > port_ready ? queue_ready : port_ready;
  return -1;
}

P4_INLINE int port_choose(port *port, uint64_t now, uint64_t *when) {
  if (P4_LIKELY(port->backlog != 0 && !port->blocked && port->hold <= now && port->shaper == NULL && !port->shaped))
    return 31 - __builtin_clz(port->backlog);
  return port_choose_slowly(port, now, when);
}

/* Bring a port that may send now to the head of the ready list and return its queue; -1 if there is none. */
P4_INLINE int ready_choose(p4_tm *tm, uint64_t now) {
  while (tm->waiting != 0 && tm->heap[0]->wake <= now)
    port_stir(tm, tm->heap[0]);
  for (port *port; (port = tm->ready) != NULL;) {
    uint64_t when;
    int q = port_choose(port, now, &when);
    if (P4_LIKELY(q >= 0))
      return q;
    ready_pop(tm);
    if (when != P4_NEVER)
      port_wait(tm, port, when);
  }
  return -1;
}

/* ---- packets -------------------------------------------------------------------------------------- */

int p4_tm_enqueue(p4_tm *tm, uint32_t number, uint32_t q, p4_packet *packet, uint64_t now) {
  port *port = port_get(tm, number);
  if (P4_UNLIKELY(port == NULL || q >= tm->queues)) {
    tm->refused++;
    return -1;
  }
  queue *queue = &port->queues[q];
  if (P4_UNLIKELY(queue->packets >= queue->most_packets ||
                  (queue->most_bytes != 0 && queue->bytes + packet->length > queue->most_bytes))) {
    queue->dropped++;
    return -1;
  }
  packet->next = NULL;
  packet->egress_port = (uint16_t)number;
  packet->queue = (uint8_t)q;
  packet->enqueued = now;
  packet->enqueue_depth = queue->packets;
  if (queue->head != NULL) {
    queue->tail->next = packet;
  } else {
    queue->head = packet;
    port->backlog |= (uint8_t)(1u << q);
    port_stir(tm, port);
  }
  queue->tail = packet;
  queue->packets++;
  queue->bytes += packet->length;
  tm->backlog++;
  return 0;
}

static p4_packet *queue_pop(p4_tm *tm, port *port, int q) {
  queue *queue = &port->queues[q];
  p4_packet *packet = queue->head;
  queue->head = packet->next;
  queue->packets--;
  queue->bytes -= packet->length;
  tm->backlog--;
  if (queue->head == NULL)
    port->backlog &= (uint8_t)~(1u << q);
  packet->next = NULL;
  return packet;
}

p4_packet *p4_tm_dequeue(p4_tm *tm, uint64_t now) {
  int q = ready_choose(tm, now);
  if (q < 0)
    return NULL;
  port *port = tm->ready;
  p4_packet *packet = queue_pop(tm, port, q);
  packet->dequeued = now;
  packet->dequeue_depth = port->queues[q].packets;
  if (port->backlog == 0) {
    ready_pop(tm);
  } else if (port->next != NULL) { /* the turn of the next */
    ready_pop(tm);
    ready_append(tm, port);
  }
  return packet;
}

void p4_tm_charge(p4_tm *tm, uint32_t number, uint32_t q, uint64_t bytes, uint64_t packets) {
  if (P4_UNLIKELY(number >= P4_MAX_PORTS || tm->ports[number] == NULL || q >= tm->queues))
    return;
  port *port = tm->ports[number];
  port->queues[q].sent_packets += packets;
  port->queues[q].sent_bytes += bytes;
  if (port->shaper != NULL)
    shaper_charge(port->shaper, bytes, packets);
  if (port->shapers[q] != NULL)
    shaper_charge(port->shapers[q], bytes, packets);
}

uint64_t p4_tm_next_event(p4_tm *tm, uint64_t now) {
  if (ready_choose(tm, now) >= 0)
    return now;
  return tm->waiting != 0 ? tm->heap[0]->wake : P4_NEVER;
}

void p4_tm_flush(p4_tm *tm, uint32_t number, void (*release)(void *context, p4_packet *packet), void *context) {
  uint32_t first = number == P4_NONE ? 0 : number, last = number == P4_NONE ? P4_MAX_PORTS - 1 : number;
  for (uint32_t p = first; p <= last && p < P4_MAX_PORTS; p++) {
    port *port = tm->ports[p];
    if (port == NULL)
      continue;
    while (port->backlog != 0)
      release(context, queue_pop(tm, port, __builtin_ctz(port->backlog)));
    port_stir(tm, port);
  }
}

/* ---- control -------------------------------------------------------------------------------------- */

int p4_tm_block(p4_tm *tm, uint32_t number, bool blocked) {
  port *port = port_get(tm, number);
  if (port == NULL)
    return -1;
  port->blocked = blocked;
  port_stir(tm, port);
  return 0;
}

int p4_tm_hold(p4_tm *tm, uint32_t number, uint64_t until) {
  port *port = port_get(tm, number);
  if (port == NULL)
    return -1;
  port->hold = until;
  port_stir(tm, port);
  return 0;
}

int p4_tm_set_queue(p4_tm *tm, uint32_t number, uint32_t q, const p4_queue_config *config, uint64_t now) {
  port *port = port_get(tm, number);
  if (port == NULL || q >= tm->queues || shaper_configure(&port->shapers[q], &config->shaping, now) < 0)
    return -1;
  port->queues[q].most_packets = config->depth_packets;
  port->queues[q].most_bytes = config->depth_bytes;
  uint8_t bit = (uint8_t)(1u << q);
  port->shaped = port->shapers[q] != NULL ? port->shaped | bit : port->shaped & (uint8_t)~bit;
  port_stir(tm, port);
  return 0;
}

int p4_tm_set_port(p4_tm *tm, uint32_t number, const p4_shaping *shaping, uint64_t now) {
  port *port = port_get(tm, number);
  if (port == NULL || shaper_configure(&port->shaper, shaping, now) < 0)
    return -1;
  port_stir(tm, port);
  return 0;
}

void p4_tm_status(const p4_tm *tm, uint32_t number, uint32_t q, p4_queue_status *status) {
  *status = (p4_queue_status){0};
  if (number >= P4_MAX_PORTS || tm->ports[number] == NULL || q >= tm->queues)
    return;
  const queue *queue = &tm->ports[number]->queues[q];
  status->depth_packets = queue->packets;
  status->depth_bytes = queue->bytes;
  status->sent_packets = queue->sent_packets;
  status->sent_bytes = queue->sent_bytes;
  status->dropped = queue->dropped;
}

uint64_t p4_tm_backlog(const p4_tm *tm) { return tm->backlog; }

uint64_t p4_tm_refused(const p4_tm *tm) { return tm->refused; }
