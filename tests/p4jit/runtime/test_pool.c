/* SPDX-License-Identifier: Apache-2.0
 *
 * The packet pool, checked in C: built and run by test_port.py.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

#define COUNT 1000u

static size_t resident_bytes(const p4_pool *pool) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (pool->memory_bytes + page - 1) / page, resident = 0;
  unsigned char *map = malloc(pages);
  CHECK(map != NULL && mincore(pool->memory, pool->memory_bytes, map) == 0);
  for (size_t i = 0; i < pages; i++) resident += map[i] & 1u;
  free(map);
  return resident * page;
}

static void check_pool(uint32_t phv_bytes, uint32_t headroom) {
  p4_pool pool;
  p4_packet *packets[COUNT];
  CHECK(p4_pool_init(&pool, COUNT, phv_bytes, headroom) == 0);
  CHECK(resident_bytes(&pool) == 0);
  for (unsigned round = 0; round < 2; round++) {
    for (uint32_t i = 0; i < COUNT; i++) {
      p4_packet *packet = packets[i] = p4_pool_get(&pool);
      CHECK(packet != NULL && packet->length == 0 && packet->next == NULL);
      CHECK(packet->capacity == P4_FRAME_BYTES);
      CHECK((size_t)(packet->data - packet->buffer) >= headroom);
      CHECK((size_t)(packet->data - packet->buffer) >= P4_MIN_HEADROOM);
      CHECK((uintptr_t)packet->phv % 64 == 0);
      memset(packet->phv, (int)i, phv_bytes);
      memset(packet->buffer, (int)i, (size_t)(packet->data - packet->buffer) + packet->capacity);
    }
    CHECK(p4_pool_get(&pool) == NULL);
    CHECK(pool.in_use == COUNT);
    for (uint32_t i = 0; i < COUNT; i++) { /* nobody wrote into another's bytes */
      const uint8_t *phv = packets[i]->phv, *end = packets[i]->data + packets[i]->capacity;
      for (uint32_t b = 0; b < phv_bytes; b++) CHECK(phv[b] == (uint8_t)i);
      for (const uint8_t *b = packets[i]->buffer; b < end; b++) CHECK(*b == (uint8_t)i);
      p4_pool_put(&pool, packets[i]);
    }
    CHECK(pool.in_use == 0);
    p4_packet *warm = p4_pool_get(&pool);
    CHECK(warm == packets[COUNT - 1]);
    p4_pool_put(&pool, warm);
  }
  p4_pool_free(&pool);
  p4_pool_free(&pool);
}

static void check_lazy(void) {
  p4_pool pool;
  CHECK(p4_pool_init(&pool, 100000, 512, 0) == 0);
  p4_packet *packet = p4_pool_get(&pool);
  memset(packet->data, 1, 100);
  CHECK(resident_bytes(&pool) <= 16384);
  p4_pool_free(&pool);
}

int main(void) {
  check_pool(0, 0);
  check_pool(1, 257);
  check_pool(4096, 2000);
  check_lazy();
  p4_pool pool;
  CHECK(p4_pool_init(&pool, 0, 0, 0) == -EINVAL);
  CHECK(p4_pool_init(&pool, 1, UINT32_MAX, 0) == -EINVAL);
  CHECK(p4_pool_init(&pool, 1, 0, UINT32_MAX) == -EINVAL);
  return 0;
}
