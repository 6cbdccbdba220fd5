/* SPDX-License-Identifier: Apache-2.0
 *
 * The traffic manager of one device: for each port up to eight queues, tail drop, strict priority, shaping.
 *
 * A port serves its queues by strict priority, the greatest index first, first in first out within a queue;
 * ports that may send take turns, packet by packet. A packet may go when its port is neither blocked nor held
 * and neither its queue's shaper nor its port's is in debt.
 *
 * A shaper is a token bucket of bits, of packets, or both. What a frame costs is known only after egress, so
 * it is charged afterwards and may leave the bucket in debt, which is paid before the next one goes: over any
 * window, bytes sent <= burst + rate * window + one frame, and a backlogged shaper that is served when
 * p4_tm_next_event says sends at exactly its rate (a burst below rate * 1 ns counts as that).
 * Tokens are counted in 1e-9 bits and 1e-9 packets: rate * nanoseconds is exact for all rates up to 2^62.
 *
 * Ports come into being when they are first used. Nothing here allocates for a packet: a queue links packets
 * by `next`.
 */
#ifndef P4JIT_TM_H
#define P4JIT_TM_H

#include "core.h"

#define P4_TM_DEPTH 64u /* packets a queue holds unless told otherwise, as in simple_switch */

typedef struct p4_tm p4_tm;

/* Rates at most 2^62, bursts at most 2^62; a rate of 0 does not shape. A burst of 0 spaces the frames. */
typedef struct p4_shaping {
  uint64_t rate_bits;     /* bit/s */
  uint64_t burst_bytes;
  uint64_t rate_packets;  /* packets/s */
  uint64_t burst_packets;
} p4_shaping;

typedef struct p4_queue_config {
  uint32_t depth_packets; /* 0 drops every packet */
  uint64_t depth_bytes;   /* 0 = no bound */
  p4_shaping shaping;
} p4_queue_config;

typedef struct p4_queue_status {
  uint32_t depth_packets;
  uint64_t depth_bytes;
  uint64_t sent_packets;  /* charged by p4_tm_charge */
  uint64_t sent_bytes;
  uint64_t dropped;       /* packets refused because the queue was full */
} p4_queue_status;

/* `queues` a port, 1 to P4_MAX_QUEUES. Returns NULL when there is no memory or the count is out of bounds. */
p4_tm *p4_tm_new(uint32_t queues);
/* The queues must be empty: flush first. */
void p4_tm_free(p4_tm *tm);

/* Put a packet in its queue; sets enqueued, enqueue_depth, egress_port and queue. The queue counts `length`
 * bytes, which must not change until it leaves. Returns 0, or -1 and the caller keeps the packet: the queue
 * is full (counted in its status), or port or queue do not exist or have no memory (p4_tm_refused). */
int p4_tm_enqueue(p4_tm *tm, uint32_t port, uint32_t queue, p4_packet *packet, uint64_t now);
uint64_t p4_tm_refused(const p4_tm *tm);

/* The next packet that may go now, of any port; sets dequeued and dequeue_depth. NULL when there is none. */
p4_packet *p4_tm_dequeue(p4_tm *tm, uint64_t now);

/* Charge the shapers of a port and queue for frames handed to the output, as of their dequeue, and count them
 * as sent. Call it with the size egress gave the frame, before the next dequeue. A packet that egress drops or recirculates is
 * not charged: shapers and `sent` account for what the output carries. */
void p4_tm_charge(p4_tm *tm, uint32_t port, uint32_t queue, uint64_t bytes, uint64_t packets);

/* Skip a port while its output cannot take frames. Both return 0, or -1 if the port cannot exist or has no
 * memory. */
int p4_tm_block(p4_tm *tm, uint32_t port, bool blocked);
/* Skip a port until a time, in place of the time given before; 0 releases it. */
int p4_tm_hold(p4_tm *tm, uint32_t port, uint64_t until);

/* When p4_tm_dequeue next gives a packet, should nothing else change: `now` if it would at once, P4_NEVER if
 * every packet waits for p4_tm_block (or there is none). */
uint64_t p4_tm_next_event(p4_tm *tm, uint64_t now);

/* Configure a queue, or the shaping of a port as a whole. A shaper that was off starts with a full bucket;
 * one whose rate changes keeps its tokens or debt, up to the new burst. Packets already in a queue stay,
 * whatever its new depth. Return 0, or -1 and no change when out of bounds or without memory. */
int p4_tm_set_queue(p4_tm *tm, uint32_t port, uint32_t queue, const p4_queue_config *config, uint64_t now);
int p4_tm_set_port(p4_tm *tm, uint32_t port, const p4_shaping *shaping, uint64_t now);

/* All zero for a queue never used. */
void p4_tm_status(const p4_tm *tm, uint32_t port, uint32_t queue, p4_queue_status *status);
/* Packets in all queues. */
uint64_t p4_tm_backlog(const p4_tm *tm);

/* Empty the queues of a port (P4_NONE: of all ports), giving each packet to `release`, which must not call
 * the traffic manager. Flushed packets count neither as sent nor as dropped. */
void p4_tm_flush(p4_tm *tm, uint32_t port, void (*release)(void *context, p4_packet *packet), void *context);

#endif
