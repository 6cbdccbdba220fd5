/* SPDX-License-Identifier: Apache-2.0
 *
 * Ternary and range tables: what an entry matches, and which of three ways finds it fastest.
 */
#include "ternary_private.h"

/* ---- range fields ------------------------------------------------------------------------------------------- */

static uint64_t low_bits(uint32_t count) { return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1; }

static uint32_t field_words(const p4_range_field *r) { return (r->width + 63) / 64; }

/* -1, 0 or 1 as the field in a is less than, equal to or greater than the one in b. */
static int compare_field(const p4_range_field *r, const uint64_t *a, const uint64_t *b) {
  if (r->width <= 64) {
    const uint64_t bits = low_bits(r->width);
    const uint64_t x = a[r->word] >> r->shift & bits, y = b[r->word] >> r->shift & bits;
    return x < y ? -1 : x > y;
  }
  for (uint32_t i = field_words(r); i-- > 0;) {
    const uint64_t x = a[r->word + i] & low_bits(r->width - 64 * i), y = b[r->word + i] & low_bits(r->width - 64 * i);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

/* The field's bits in its i-th word. */
static uint64_t field_bits(const p4_range_field *r, uint32_t i) {
  return r->width <= 64 ? low_bits(r->width) << r->shift : low_bits(r->width - 64 * i);
}

bool p4_ternary_valid(const p4_table_info *info, const uint64_t *key, const uint64_t *mask) {
  for (uint32_t i = 0; i < info->range_count; i++)
    if (compare_field(&info->ranges[i], key, mask) > 0) return false;
  for (uint32_t w = 0; w < info->key_words; w++) {
    uint64_t outside = key[w] & ~mask[w];
    for (uint32_t i = 0; outside != 0 && i < info->range_count; i++) {
      const p4_range_field *r = &info->ranges[i];
      if (w >= r->word && w < r->word + field_words(r)) outside &= ~field_bits(r, w - r->word);
    }
    if (outside != 0) return false;
  }
  return true;
}

bool p4_ranges_contain(const p4_table *t, uint32_t handle, const uint64_t *key) {
  const uint64_t *low = p4_table_record(t, handle), *high = low + t->info->key_words;
  for (uint32_t i = 0; i < t->info->range_count; i++) {
    const p4_range_field *r = &t->info->ranges[i];
    if (compare_field(r, low, key) > 0 || compare_field(r, key, high) > 0) return false;
  }
  return true;
}

/* In place of the field's high bound, the bits above the first in which the bounds differ. */
static void share_bits(const p4_range_field *r, const uint64_t *low, const uint64_t *high, uint64_t *mask) {
  bool differ = false;
  for (uint32_t i = field_words(r); i-- > 0;) {
    const uint32_t w = r->word + i;
    const uint64_t bits = field_bits(r, i), difference = (low[w] ^ high[w]) & bits;
    uint64_t shared = differ ? 0 : bits;
    if (shared != 0 && difference != 0) shared &= ~low_bits(64 - (uint32_t)__builtin_clzll(difference));
    differ |= difference != 0;
    mask[w] = (mask[w] & ~bits) | shared;
  }
}

static bool make_effective(p4_table *t, uint32_t handle) {
  p4_ternary *y = t->ternary;
  const uint64_t words = t->info->key_words, *low = p4_table_record(t, handle), *high = low + words;
  if (handle >= y->handles) {
    const uint32_t handles = y->handles == 0 ? 8 : y->handles * 2;
    uint64_t *effective = realloc(y->effective, handles * 2 * words * sizeof *effective);
    if (effective == NULL) return false;
    y->effective = effective;
    y->handles = handles;
  }
  uint64_t *value = y->effective + handle * 2 * words, *mask = value + words;
  memcpy(mask, high, words * sizeof *mask);
  for (uint32_t i = 0; i < t->info->range_count; i++) share_bits(&t->info->ranges[i], low, high, mask);
  for (uint64_t w = 0; w < words; w++) value[w] = low[w] & mask[w];
  return true;
}

/* ---- which way ---------------------------------------------------------------------------------------------- */

/* Nanoseconds a search takes, roughly: what matters is which is less. */
static uint64_t tuples_cost(const p4_table *t) { return UINT64_C(9) * t->ternary->tuples.count; }

static uint64_t cuts_cost(const p4_table *t) { return 50 + UINT64_C(2) * (t->count / P4_BLOCK_ENTRIES); }

static void list_insert(p4_table *t, uint32_t handle, uint32_t count) {
  uint32_t at = count;
  for (; at > 0 && p4_ternary_better(t, handle, t->ternary->list[at - 1]); at--)
    t->ternary->list[at] = t->ternary->list[at - 1];
  t->ternary->list[at] = handle;
}

static void make_list(p4_table *t) {
  uint32_t count = 0;
  for (uint32_t handle = 0; handle < t->ternary->end && count < t->count; handle++)
    if (p4_handles_taken(&t->control->handles, handle)) list_insert(t, handle, count++);
  t->ternary->use_list = true;
}

static void drop_cuts(p4_ternary *y) {
  p4_cuts_free(&y->cuts);
  p4_cuts_build_free(&y->build);
  y->use_cuts = false;
}

static bool building(const p4_ternary *y) { return y->build.phase != P4_BUILD_NONE; }

static void build_some(p4_table *t, uint32_t steps) {
  p4_ternary *y = t->ternary;
  p4_cuts built;
  if (!p4_cuts_build_step(t, &y->build, steps, &built)) return;
  /* Without memory the old ones are still right. */
  if (built.parts == NULL) return;
  p4_cuts_free(&y->cuts);
  y->cuts = built;
  y->use_cuts = true;
}

/* A search is right whichever way it goes, so want of memory only means to go on as before. */
void p4_ternary_settle(p4_table *t) {
  p4_ternary *y = t->ternary;
  if (!y->use_list && t->count <= P4_LIST_ENTRIES / 2) make_list(t);
  if (y->use_list) {
    drop_cuts(y);
    return;
  }
  const uint64_t tuples = tuples_cost(t), cuts = cuts_cost(t);
  if (y->use_cuts ? tuples * 3 < cuts * 2 : tuples * 2 <= cuts * 3) {
    drop_cuts(y);
    return;
  }
  const bool wanted = !y->use_cuts || y->cuts.changes > y->cuts.built / 2 + P4_LIST_ENTRIES;
  if (building(y) || (wanted && p4_cuts_build_start(t, &y->build))) build_some(t, P4_CONTROL_STEPS);
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

bool p4_ternary_init(p4_table *t) {
  t->ternary = calloc(1, sizeof *t->ternary);
  if (t->ternary != NULL) t->ternary->use_list = true;
  return t->ternary != NULL;
}

void p4_ternary_free(p4_table *t) {
  if (t->ternary == NULL) return;
  p4_tuples_free(&t->ternary->tuples);
  drop_cuts(t->ternary);
  free(t->ternary->effective);
  free(t->ternary);
  t->ternary = NULL;
}

bool p4_ternary_insert(p4_table *t, uint32_t handle) {
  p4_ternary *y = t->ternary;
  if (t->info->range_count != 0 && !make_effective(t, handle)) return false;
  if (!p4_tuples_insert(t, &y->tuples, handle)) return false;
  if (handle >= y->end) y->end = handle + 1;
  if (y->use_list && t->count < P4_LIST_ENTRIES)
    list_insert(t, handle, t->count);
  else
    y->use_list = false;
  if (building(y)) p4_cuts_build_insert(t, &y->build, handle);
  /* Without memory they are made anew when this entry is in. */
  if (y->use_cuts) y->use_cuts = p4_cuts_insert(t, &y->cuts, handle);
  return true;
}

void p4_ternary_delete(p4_table *t, uint32_t handle) {
  p4_ternary *y = t->ternary;
  p4_tuples_delete(t, &y->tuples, handle);
  if (building(y)) p4_cuts_build_delete(t, &y->build, handle);
  if (y->use_cuts) p4_cuts_delete(t, &y->cuts, handle);
  if (y->use_list) {
    uint32_t at = 0;
    while (y->list[at] != handle) at++;
    for (; at + 1 < t->count; at++) y->list[at] = y->list[at + 1];
  }
}

/* The list is short: comparing with all of it beats branching on each. */
P4_INLINE uint32_t search_list(const p4_table *t, const uint64_t *key, const unsigned words) {
  uint32_t matches = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    const uint64_t *value = p4_ternary_match(t, t->ternary->list[i]), *mask = value + words;
    uint64_t difference = 0;
    for (unsigned w = 0; w < words; w++) difference |= (key[w] ^ value[w]) & mask[w];
    matches |= (uint32_t)(difference == 0) << i;
  }
  for (; matches != 0; matches &= matches - 1) {
    const uint32_t handle = t->ternary->list[__builtin_ctz(matches)];
    if (t->info->range_count == 0 || p4_ranges_contain(t, handle, key)) return handle;
  }
  return P4_NONE;
}

P4_INLINE p4_entry *search(p4_table *t, const uint64_t *key, const unsigned words) {
  const p4_ternary *y = t->ternary;
  const uint32_t best = y->use_list ? search_list(t, key, words)
                      : y->use_cuts ? p4_cuts_search(t, &y->cuts, key)
                                    : p4_tuples_search(t, &y->tuples, key, words);
  return best != P4_NONE ? (p4_entry *)(t->entries + best * t->entry_stride) : NULL;
}

p4_entry *p4_ternary_search(p4_table *t, const uint64_t *key, unsigned words) {
  if (P4_UNLIKELY(building(t->ternary))) build_some(t, P4_PACKET_STEPS);
  switch (words) {
    case 1: return search(t, key, 1);
    case 2: return search(t, key, 2);
    case 3: return search(t, key, 3);
    default: return search(t, key, words);
  }
}
