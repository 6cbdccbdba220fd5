/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LINE 64u
#define SLACK LINE /* a port may place a frame some bytes later, for a VLAN tag to come before it */

static size_t round_up(size_t bytes) { return (bytes + LINE - 1) & ~(size_t)(LINE - 1); }

int p4_pool_init(p4_pool *pool, uint32_t count, uint32_t phv_bytes, uint32_t headroom) {
  if (count == 0 || phv_bytes > (64u << 20) || headroom > (1u << 20)) return -EINVAL;
  size_t data_offset = round_up(sizeof(p4_packet)) + round_up(phv_bytes);
  uint32_t room = (uint32_t)round_up(headroom < P4_MIN_HEADROOM ? P4_MIN_HEADROOM : headroom);
  /* An odd number of lines, so that the same field of different packets falls into different cache sets. */
  size_t stride = data_offset + room + round_up(P4_FRAME_BYTES) + SLACK;
  if (stride / LINE % 2 == 0) stride += LINE;
  void *memory = mmap(NULL, stride * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  /* A huge page would commit 2 MB for a packet of two small pages. The kernel may know no such pages. */
  (void)madvise(memory, stride * count, MADV_NOHUGEPAGE);
  *pool = (p4_pool){.memory = memory,
                    .memory_bytes = stride * count,
                    .stride = stride,
                    .data_offset = data_offset,
                    .headroom = room,
                    .count = count};
  return 0;
}

void p4_pool_free(p4_pool *pool) {
  if (pool->memory != NULL) munmap(pool->memory, pool->memory_bytes);
  memset(pool, 0, sizeof *pool);
}

p4_packet *p4_pool_extend(p4_pool *pool) {
  if (pool->untouched == pool->count) return NULL;
  uint8_t *memory = pool->memory + pool->stride * pool->untouched++;
  p4_packet *packet = (p4_packet *)memory;
  packet->buffer = memory + pool->data_offset;
  packet->phv = memory + round_up(sizeof(p4_packet));
  return packet;
}
