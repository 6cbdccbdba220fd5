/* SPDX-License-Identifier: Apache-2.0
 *
 * A device's packets: equal objects, each a p4_packet, its PHV, headroom and room for one frame.
 *
 * Memory is reserved at once and committed by the kernel when first touched; the packet freed last is
 * handed out first. So an idle device holds a few pages, and a busy one stays in cache.
 */
#ifndef P4JIT_POOL_H
#define P4JIT_POOL_H

#include "core.h"

#define P4_MIN_HEADROOM 256u

typedef struct p4_pool {
  uint8_t *memory;
  size_t memory_bytes;
  size_t stride;      /* bytes from one packet to the next */
  size_t data_offset; /* from a packet to its buffer */
  uint32_t headroom;
  uint32_t count;     /* packets in all */
  uint32_t untouched; /* first packet never handed out */
  uint32_t in_use;
  p4_packet *free;
} p4_pool;

/* Room for `count` packets of a program with this PHV and headroom (raised to P4_MIN_HEADROOM).
 * Returns 0 or -errno. */
int p4_pool_init(p4_pool *, uint32_t count, uint32_t phv_bytes, uint32_t headroom);

/* Gives all memory back; packets still out become invalid. A zeroed pool may be freed. */
void p4_pool_free(p4_pool *);

/* Makes packets that no one has used yet ready; only p4_pool_get calls it. */
p4_packet *p4_pool_extend(p4_pool *);

/* The frame starts after the headroom, length 0. Header fields other than next, data, length, capacity,
 * buffer and phv keep what the last user left; the PHV too. NULL when all are out: the caller counts a
 * drop. */
P4_INLINE p4_packet *p4_pool_get(p4_pool *pool) {
  p4_packet *packet = pool->free;
  if (P4_UNLIKELY(packet == NULL)) {
    packet = p4_pool_extend(pool);
    if (packet == NULL) return NULL;
  } else {
    pool->free = packet->next;
  }
  pool->in_use++;
  packet->next = NULL;
  packet->data = packet->buffer + pool->headroom;
  packet->capacity = P4_FRAME_BYTES;
  packet->length = 0;
  return packet;
}

P4_INLINE void p4_pool_put(p4_pool *pool, p4_packet *packet) {
  packet->next = pool->free;
  pool->free = packet;
  pool->in_use--;
}

#endif
