/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives out the smallest free number: deterministic, and what bmv2 does. A tree of bitmaps, in which a bit
 * of an upper level says that the 64 bits below are all set, so that taking and returning cost its depth.
 */
#ifndef P4JIT_HANDLES_H
#define P4JIT_HANDLES_H

#include <stdlib.h>
#include <string.h>

#include "core.h"

#define P4_HANDLE_LEVELS 5 /* 64^5 = 2^30 numbers */

/* All zero is an empty set. */
typedef struct p4_handles {
  uint64_t *levels[P4_HANDLE_LEVELS]; /* level i has 64^(depth-1-i) words; the last of them one */
  uint32_t depth;
} p4_handles;

static inline size_t p4_handles_words(uint32_t depth, uint32_t level) { return (size_t)1 << 6 * (depth - 1 - level); }

static inline void p4_handles_free(p4_handles *h) {
  for (uint32_t i = 0; i < h->depth; i++) free(h->levels[i]);
  *h = (p4_handles){0};
}

/* 64 times the room; false, and no change, when there is no memory. */
static inline bool p4_handles_grow(p4_handles *h) {
  p4_handles grown = {.depth = h->depth + 1};
  if (grown.depth > P4_HANDLE_LEVELS) return false;
  for (uint32_t i = 0; i < grown.depth; i++) {
    grown.levels[i] = calloc(p4_handles_words(grown.depth, i), sizeof(uint64_t));
    if (grown.levels[i] == NULL) {
      p4_handles_free(&grown);
      return false;
    }
  }
  for (uint32_t i = 0; i < h->depth; i++)
    memcpy(grown.levels[i], h->levels[i], p4_handles_words(h->depth, i) * sizeof(uint64_t));
  /* It grows when all are taken. */
  if (h->depth != 0) grown.levels[h->depth][0] = 1;
  p4_handles_free(h);
  *h = grown;
  return true;
}

/* The smallest free number, or P4_NONE when there is no memory. */
static inline uint32_t p4_handles_take(p4_handles *h) {
  if ((h->depth == 0 || h->levels[h->depth - 1][0] == UINT64_MAX) && !p4_handles_grow(h)) return P4_NONE;
  size_t at = 0;
  for (uint32_t i = h->depth; i-- > 0;) at = at * 64 + (size_t)__builtin_ctzll(~h->levels[i][at]);
  size_t bit = at;
  for (uint32_t i = 0; i < h->depth; i++, bit /= 64) {
    h->levels[i][bit / 64] |= UINT64_C(1) << bit % 64;
    if (h->levels[i][bit / 64] != UINT64_MAX) break;
  }
  return (uint32_t)at;
}

static inline bool p4_handles_taken(const p4_handles *h, uint32_t handle) {
  if (h->depth == 0 || handle / 64 >= p4_handles_words(h->depth, 0)) return false;
  return h->levels[0][handle / 64] >> handle % 64 & 1;
}

static inline void p4_handles_return(p4_handles *h, uint32_t handle) {
  size_t bit = handle;
  for (uint32_t i = 0; i < h->depth; i++, bit /= 64) h->levels[i][bit / 64] &= ~(UINT64_C(1) << bit % 64);
}

#endif
