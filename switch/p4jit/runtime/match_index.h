/* SPDX-License-Identifier: Apache-2.0
 *
 * An index of numbers (handles) by a 32-bit hash of what they stand for; the caller compares. Open addressing,
 * at most half full, deletion by pulling back.
 */
#ifndef P4JIT_MATCH_INDEX_H
#define P4JIT_MATCH_INDEX_H

#include "blocks.h"

/* All zero is empty. A slot is (hash << 32 | number + 1), 0 where free. */
typedef struct p4_match_index {
  uint64_t *slots;
  uint32_t mask;
} p4_match_index;

static inline uint64_t p4_match_index_bytes(const p4_match_index *index) { return ((uint64_t)index->mask + 1) * sizeof(uint64_t); }

static inline void p4_match_index_free(p4_match_index *index) {
  if (index->slots != NULL) p4_block_free(index->slots, p4_match_index_bytes(index));
  *index = (p4_match_index){0};
}

/* There must be room. */
static inline void p4_match_index_put(p4_match_index *index, uint32_t hash, uint32_t number) {
  uint32_t at = hash & index->mask;
  while (index->slots[at] != 0) at = (at + 1) & index->mask;
  index->slots[at] = (uint64_t)hash << 32 | (number + 1);
}

/* Room for so many numbers; false when there is no memory. */
static inline bool p4_match_index_reserve(p4_match_index *index, uint32_t count) {
  if (index->slots != NULL && count <= index->mask / 2) return true;
  const uint64_t size = index->slots == NULL ? 8 : ((uint64_t)index->mask + 1) * 2;
  if (size > UINT64_C(1) << 32) return false;
  p4_match_index grown = {.slots = p4_block_new(size * sizeof(uint64_t)), .mask = (uint32_t)(size - 1)};
  if (grown.slots == NULL) return false;
  memset(grown.slots, 0, size * sizeof(uint64_t));
  for (uint64_t i = 0; index->slots != NULL && i <= index->mask; i++)
    if (index->slots[i] != 0)
      p4_match_index_put(&grown, (uint32_t)(index->slots[i] >> 32), (uint32_t)index->slots[i] - 1);
  p4_match_index_free(index);
  *index = grown;
  return true;
}

/* The number's slot; it must be in the index. */
static inline uint64_t *p4_match_index_slot(p4_match_index *index, uint32_t hash, uint32_t number) {
  uint32_t at = hash & index->mask;
  while ((uint32_t)index->slots[at] != number + 1) at = (at + 1) & index->mask;
  return &index->slots[at];
}

static inline void p4_match_index_remove(p4_match_index *index, uint32_t hash, uint32_t number) {
  uint32_t hole = (uint32_t)(p4_match_index_slot(index, hash, number) - index->slots);
  for (uint32_t at = (hole + 1) & index->mask; index->slots[at] != 0; at = (at + 1) & index->mask) {
    const uint32_t home = (uint32_t)(index->slots[at] >> 32) & index->mask;
    /* It may move to the hole unless its home lies behind the hole. */
    if (((at - home) & index->mask) < ((at - hole) & index->mask)) continue;
    index->slots[hole] = index->slots[at];
    hole = at;
  }
  index->slots[hole] = 0;
}

/* Visit the numbers with a hash: `at` starts as the hash; P4_NONE after the last. */
static inline uint32_t p4_match_index_next(const p4_match_index *index, uint32_t hash, uint32_t *at) {
  for (;;) {
    const uint64_t slot = index->slots[*at & index->mask];
    if (slot == 0) return P4_NONE;
    ++*at;
    if (slot >> 32 == hash) return (uint32_t)slot - 1;
  }
}

#endif
