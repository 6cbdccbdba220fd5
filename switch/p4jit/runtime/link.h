/* SPDX-License-Identifier: Apache-2.0
 *
 * An emulated link behind a port's output: rate, delay, jitter, loss. One direction, frames stay in order.
 *
 * A frame is serialised when those before it are, for bytes * 8 / rate, and reaches the far end
 * delay + jitter after its last bit, never before that bit and never before the frame ahead of it. The bytes
 * are those of the frame, without preamble, FCS or inter-frame gap, as tc counts them. Lost frames take up
 * the link as others do. Fractions of a nanosecond are carried from frame to frame, so that the rate of a
 * busy link is exact; the times given out are whole, rounded up.
 *
 * The link holds packets by `next` and keeps their delivery time in `arrival`.
 */
#ifndef P4JIT_LINK_H
#define P4JIT_LINK_H

#include "core.h"

typedef struct p4_link p4_link;

typedef struct p4_link_config {
  uint64_t rate;     /* bit/s, at most 2^62; 0 = unlimited */
  uint64_t delay;    /* ns, at most 2^60 */
  uint64_t jitter;   /* ns, at most 2^60: uniform in [-jitter, +jitter] */
  double loss;       /* probability, 0 to 1 */
  uint64_t seed;     /* of the losses and the jitter, which are independent of each other */
  uint32_t limit;    /* frames under way, serialisation included; one more is dropped */
} p4_link_config;

typedef struct p4_link_status {
  uint64_t sent_packets; /* accepted */
  uint64_t sent_bytes;
  uint64_t lost;
  uint64_t dropped;      /* beyond the limit */
  uint32_t under_way;
} p4_link_status;

enum p4_link_result {
  P4_LINK_ACCEPTED = 0, /* the link owns the packet */
  P4_LINK_LOST = 1,     /* the caller frees it, as below */
  P4_LINK_FULL = 2,     /* not serialised */
};

/* Return NULL or -1 when there is no memory or the configuration is out of bounds. Configuring a link that
 * is in use keeps the frames under way and restarts the random sequences from the seed. */
p4_link *p4_link_new(const p4_link_config *config);
int p4_link_configure(p4_link *link, const p4_link_config *config);
/* `release` is given each packet the link holds. */
void p4_link_free(p4_link *link, void (*release)(void *context, p4_packet *packet), void *context);
void p4_link_flush(p4_link *link, void (*release)(void *context, p4_packet *packet), void *context);

/* Put a frame of `bytes` (at most 2^30) on the link; returns enum p4_link_result. A link that is busy
 * queues it, up to the limit: hold the port until p4_link_busy_until to queue in the switch instead. */
int p4_link_send(p4_link *link, p4_packet *packet, uint64_t now, uint32_t bytes);

/* When the last bit given to the link has left: the earliest time the next frame may start. */
uint64_t p4_link_busy_until(const p4_link *link);

/* The next frame that has reached the far end by `now`, and when it did; NULL when there is none. */
p4_packet *p4_link_receive(p4_link *link, uint64_t now, uint64_t *at);

/* When p4_link_receive gives the next frame; P4_NEVER with none under way. */
uint64_t p4_link_next_event(const p4_link *link);

void p4_link_status_get(const p4_link *link, p4_link_status *status);

#endif
