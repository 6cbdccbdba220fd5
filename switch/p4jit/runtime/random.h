/* SPDX-License-Identifier: Apache-2.0
 *
 * Pseudo-random numbers: xoshiro256** (Blackman and Vigna, 2018) over a state the caller holds, so that a
 * run is reproducible from its seed.
 */
#ifndef P4JIT_RANDOM_H
#define P4JIT_RANDOM_H

#include "core.h"

/* SplitMix64 spreads the seed, which keeps the state from being all zero for every seed. */
P4_INLINE void p4_random_seed(uint64_t state[4], uint64_t seed) {
  for (unsigned i = 0; i < 4; i++) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    state[i] = z ^ (z >> 31);
  }
}

P4_INLINE uint64_t p4_random_rotate(uint64_t x, unsigned bits) { return (x << bits) | (x >> (64 - bits)); }

/* Uniform over all 64-bit values. */
P4_INLINE uint64_t p4_random_next(uint64_t state[4]) {
  uint64_t result = p4_random_rotate(state[1] * 5, 7) * 9;
  uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = p4_random_rotate(state[3], 45);
  return result;
}

/* Uniform in [low, high], without bias (Lemire, "Fast Random Integer Generation in an Interval", 2019).
 * Needs low <= high. */
P4_INLINE uint64_t p4_random_between(uint64_t state[4], uint64_t low, uint64_t high) {
  uint64_t count = high - low + 1;
  if (count == 0) /* all 2^64 values */
    return p4_random_next(state);
  p4_u128 product = (p4_u128)p4_random_next(state) * count;
  if (P4_UNLIKELY((uint64_t)product < count)) {
    uint64_t threshold = -count % count; /* 2^64 mod count */
    while ((uint64_t)product < threshold)
      product = (p4_u128)p4_random_next(state) * count;
  }
  return low + (uint64_t)(product >> 64);
}

#endif
