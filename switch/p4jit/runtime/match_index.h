/* SPDX-License-Identifier: Apache-2.0
 *
 * An index of numbers (handles) by a 32-bit hash of what they stand for; the caller compares. Open addressing
 * without wrap-around, at most half full, deletion by pulling back. As in exact.c the home slot is the hash's
 * top bits, so that an index keeps its order as it doubles, and it doubles some slots a call: no call takes long.
 */
#ifndef P4JIT_MATCH_INDEX_H
#define P4JIT_MATCH_INDEX_H

#include "blocks.h"

#define P4_INDEX_FIRST_SHIFT 29u /* 8 home slots */
#define P4_INDEX_MOVE 1024u      /* slots a call */

/* Slots are (hash << 32 | number + 1), 0 where free. */
typedef struct p4_index_slots {
  uint64_t *slots;
  uint32_t shift;            /* 32 - log2 of the number of home slots */
} p4_index_slots;

/* All zero is empty. While it doubles, numbers whose home in the old slots is before `frontier` have moved, and
 * the others are still there. */
typedef struct p4_match_index {
  p4_index_slots now;
  p4_index_slots old;        /* slots NULL: no move under way */
  uint64_t frontier;
} p4_match_index;

/* Behind the last home there are spare slots; the very last stays free to end every search. Half-full slots
 * under a secret seed do not reach the 512th (exact.c). */
static inline uint64_t p4_index_slot_count(uint32_t shift) {
  const uint64_t homes = UINT64_C(1) << (32 - shift), half = homes / 2;
  return homes + (half < 512 ? half : 512) + 1;
}

static inline void p4_index_slots_free(p4_index_slots *s) {
  if (s->slots != NULL) p4_block_free(s->slots, p4_index_slot_count(s->shift) * sizeof *s->slots);
  *s = (p4_index_slots){0};
}

static inline void p4_match_index_free(p4_match_index *index) {
  p4_index_slots_free(&index->now);
  p4_index_slots_free(&index->old);
  index->frontier = 0;
}

/* The slots in which a hash is. */
P4_INLINE p4_index_slots p4_match_index_side(const p4_match_index *index, uint32_t hash) {
  const bool old = P4_UNLIKELY(index->old.slots != NULL) && hash >> index->old.shift >= index->frontier;
  return old ? index->old : index->now;
}

/* The first slot to look at for a hash. The index must have had room. */
P4_INLINE uint64_t *p4_match_index_home(const p4_match_index *index, uint32_t hash) {
  const p4_index_slots s = p4_match_index_side(index, hash);
  return s.slots + (hash >> s.shift);
}

/* Visit the numbers with a hash: `at` starts as the hash's home; P4_NONE after the last. */
P4_INLINE uint32_t p4_match_index_next(const uint64_t **at, uint32_t hash) {
  for (;;) {
    const uint64_t slot = *(*at)++;
    if (slot == 0) return P4_NONE;
    if (slot >> 32 == hash) return (uint32_t)slot - 1;
  }
}

static inline void p4_index_put(uint64_t *home, uint64_t slot) {
  while (*home != 0) home++;
  *home = slot;
}

/* There must be room. */
static inline void p4_match_index_put(p4_match_index *index, uint32_t hash, uint32_t number) {
  p4_index_put(p4_match_index_home(index, hash), (uint64_t)hash << 32 | (number + 1));
}

/* Whether one more number might take the last slot. */
static inline bool p4_index_crowded(p4_index_slots s) {
  return s.slots != NULL && s.slots[p4_index_slot_count(s.shift) - 2] != 0;
}

/* Move at least `count` slots, or all that are left. The move stops behind a free slot only: numbers before it
 * have their homes before it, numbers behind it behind it. */
static inline bool p4_match_index_move(p4_match_index *index, uint64_t count) {
  if (index->old.slots == NULL) return true;
  const uint64_t end = p4_index_slot_count(index->old.shift);
  uint64_t at = index->frontier;
  for (;; at++) {
    const uint64_t slot = index->old.slots[at];
    if (slot == 0) {
      if (at + 1 == end || at - index->frontier >= count) break;
      continue;
    }
    if (p4_index_crowded(index->now)) return false;
    p4_index_put(index->now.slots + (slot >> 32 >> index->now.shift), slot);
  }
  index->frontier = at + 1;
  if (at + 1 == end) p4_index_slots_free(&index->old);
  return true;
}

/* Room for so many numbers, of which at most one is new; false when there is no memory. */
static inline bool p4_match_index_reserve(p4_match_index *index, uint32_t count) {
  if (!p4_match_index_move(index, P4_INDEX_MOVE)) return false;
  const bool first = index->now.slots == NULL;
  const bool fits = !first && count <= UINT64_C(1) << (32 - index->now.shift) >> 1;
  if (fits && !p4_index_crowded(index->now) && !p4_index_crowded(index->old)) return true;
  if (!p4_match_index_move(index, UINT64_MAX)) return false;
  const uint32_t shift = first ? P4_INDEX_FIRST_SHIFT : index->now.shift - 1;
  if (shift == 0) return false;
  uint64_t *slots = p4_block_zeroed(p4_index_slot_count(shift) * sizeof *slots);
  if (slots == NULL) return false;
  index->old = index->now;
  index->frontier = 0;
  index->now = (p4_index_slots){slots, shift};
  return p4_match_index_move(index, P4_INDEX_MOVE);
}

/* The number's slot; it must be in the index. */
static inline uint64_t *p4_match_index_slot(const p4_match_index *index, uint32_t hash, uint32_t number) {
  uint64_t *at = p4_match_index_home(index, hash);
  while ((uint32_t)*at != number + 1) at++;
  return at;
}

static inline void p4_match_index_remove(p4_match_index *index, uint32_t hash, uint32_t number) {
  const p4_index_slots s = p4_match_index_side(index, hash);
  uint64_t *hole = p4_match_index_slot(index, hash, number);
  for (uint64_t *at = hole + 1; *at != 0; at++) {
    /* It may move to the hole unless its home lies behind the hole. */
    if (s.slots + (*at >> 32 >> s.shift) > hole) continue;
    *hole = *at;
    hole = at;
  }
  *hole = 0;
}

#endif
