/* SPDX-License-Identifier: Apache-2.0
 *
 * Parser value sets: a few (value, mask) pairs that a parser state's select is matched against.
 */
#ifndef P4JIT_VALUE_SET_H
#define P4JIT_VALUE_SET_H

#include "core.h"
#include "status.h"

struct p4_value_set {
  uint64_t *members; /* count times: words of value, words of mask */
  uint32_t words;
  uint32_t count;
};

/* Whether a member equals the key where both masks are set. `mask` (NULL: all ones) is the select case's.
 * `words` is the number the set was made with. */
P4_INLINE bool p4_value_set_contains(const struct p4_value_set *set, const uint64_t *key, const unsigned words,
                                     const uint64_t *mask) {
  const uint64_t *member = set->members;
  for (uint32_t i = 0; i < set->count; i++, member += 2 * words) {
    uint64_t difference = 0;
    for (unsigned w = 0; w < words; w++)
      difference |= (key[w] ^ member[w]) & member[words + w] & (mask != NULL ? mask[w] : UINT64_MAX);
    if (difference == 0) return true;
  }
  return false;
}

/* An empty set of keys of so many words. P4_OK. */
int p4_value_set_init(struct p4_value_set *set, uint32_t words);
void p4_value_set_free(struct p4_value_set *set);
/* Replace all members: `count` times `words` words of values, and as many of masks. P4_OK or P4_NO_MEMORY. */
int p4_value_set_replace(struct p4_value_set *set, const uint64_t *values, const uint64_t *masks, uint32_t count);

#endif
