/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

#define ORDER_STEPS 64u      /* entries or tuples looked at per deletion while the order is made true */
#define ORDER_MENDS 4u       /* tuples that change their place per deletion */

static uint32_t mask_hash(const p4_table *t, const uint64_t *mask) {
  return (uint32_t)(p4_key_hash(mask, t->info->key_words, t->seed) >> 32);
}

P4_INLINE uint32_t value_hash(const p4_table *t, uint32_t tuple, const uint64_t *value, const unsigned words) {
  const uint64_t seed[2] = {t->seed[0] + tuple * UINT64_C(0x9e3779b97f4a7c15), t->seed[1]};
  return (uint32_t)(p4_key_hash(value, words, seed) >> 32);
}

static const uint64_t *mask_of(const p4_table *t, const p4_tuples *s, uint32_t tuple) {
  return s->masks + (uint64_t)tuple * t->info->key_words;
}

/* ---- the order of tuples -------------------------------------------------------------------------------- */

/* Where a tuple of this rank stands, or would stand: before those with a smaller priority, and among equals
 * in order of numbers. */
static uint32_t order_position(const p4_tuples *s, p4_tuple_rank rank) {
  uint32_t low = 0, high = s->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const p4_tuple_rank *m = &s->order[middle];
    if (m->greatest > rank.greatest || (m->greatest == rank.greatest && m->tuple < rank.tuple))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void order_insert(p4_tuples *s, uint32_t tuple, uint32_t greatest) {
  const p4_tuple_rank rank = {tuple, greatest};
  const uint32_t at = order_position(s, rank);
  memmove(&s->order[at + 1], &s->order[at], (s->count - at) * sizeof rank);
  s->order[at] = rank;
  s->ranked[tuple] = greatest;
  s->count++;
}

static void order_remove(p4_tuples *s, uint32_t tuple) {
  const uint32_t at = order_position(s, (p4_tuple_rank){tuple, s->ranked[tuple]});
  s->count--;
  memmove(&s->order[at], &s->order[at + 1], (s->count - at) * sizeof *s->order);
}

/* After as many deletions as there are entries, find the true greatest priorities again, some with each of the
 * deletions that follow: measure by looking at all entries, then mend the order. */
static void refresh_order(const p4_table *t, p4_tuples *s) {
  s->deletions++;
  uint32_t reordered = 0;
  for (uint32_t step = 0; step < ORDER_STEPS; step++) {
    if (s->order_work == P4_ORDER_KEPT) {
      if (s->deletions <= t->count) return;
      s->deletions = 0;
      memset(s->measured, 0, s->capacity * sizeof *s->measured);
      s->cursor = 0;
      s->order_work = P4_ORDER_MEASURED;
    } else if (s->order_work == P4_ORDER_MEASURED) {
      const uint32_t handle = s->cursor++;
      if (handle >= t->ternary->end) {
        s->cursor = 0;
        s->order_work = P4_ORDER_MENDED;
      } else if (p4_handles_taken(&t->control->handles, handle)) {
        const uint32_t tuple = s->tuple[handle], priority = t->control->ranks[handle];
        if (priority > s->measured[tuple]) s->measured[tuple] = priority;
      }
    } else {
      const uint32_t tuple = s->cursor++;
      if (tuple >= s->capacity) {
        s->order_work = P4_ORDER_KEPT;
        return;
      }
      if (!p4_handles_taken(&s->numbers, tuple) || s->measured[tuple] >= s->ranked[tuple]) continue;
      order_remove(s, tuple);
      order_insert(s, tuple, s->measured[tuple]);
      if (++reordered == ORDER_MENDS) return;
    }
  }
}

/* ---- tuples -------------------------------------------------------------------------------------------------- */

static uint32_t find_tuple(const p4_table *t, const p4_tuples *s, const uint64_t *mask) {
  const uint32_t hash = mask_hash(t, mask);
  if (s->by_mask.now.slots == NULL) return P4_NONE;
  for (const uint64_t *at = p4_match_index_home(&s->by_mask, hash);;) {
    const uint32_t tuple = p4_match_index_next(&at, hash);
    if (tuple == P4_NONE || p4_same_key(mask_of(t, s, tuple), mask, t->info->key_words)) return tuple;
  }
}

static bool reserve_tuples(const p4_table *t, p4_tuples *s) {
  if (!p4_match_index_reserve(&s->by_mask, s->count + 1)) return false;
  if (s->count < s->capacity) return true;
  const uint32_t capacity = s->capacity == 0 ? 4 : s->capacity * 2;
  p4_tuple_rank *order = realloc(s->order, capacity * sizeof *order);
  if (order != NULL) s->order = order;
  uint32_t *sizes = realloc(s->sizes, capacity * sizeof *sizes);
  if (sizes != NULL) s->sizes = sizes;
  uint32_t *ranked = realloc(s->ranked, capacity * sizeof *ranked);
  if (ranked != NULL) s->ranked = ranked;
  uint32_t *measured = realloc(s->measured, capacity * sizeof *measured);
  if (measured != NULL) s->measured = measured;
  const size_t mask_bytes = t->info->key_words * sizeof(uint64_t);
  uint64_t *masks = realloc(s->masks, capacity * mask_bytes);
  if (masks != NULL) s->masks = masks;
  if (order == NULL || sizes == NULL || ranked == NULL || measured == NULL || masks == NULL) return false;
  s->capacity = capacity;
  return true;
}

static uint32_t new_tuple(const p4_table *t, p4_tuples *s, const uint64_t *mask, uint32_t greatest) {
  if (!reserve_tuples(t, s)) return P4_NONE;
  const uint32_t tuple = p4_handles_take(&s->numbers);
  if (tuple == P4_NONE) return P4_NONE;
  memcpy(s->masks + (uint64_t)tuple * t->info->key_words, mask, t->info->key_words * sizeof *mask);
  s->sizes[tuple] = 0;
  s->measured[tuple] = greatest;
  p4_match_index_put(&s->by_mask, mask_hash(t, mask), tuple);
  order_insert(s, tuple, greatest);
  return tuple;
}

static void drop_tuple(const p4_table *t, p4_tuples *s, uint32_t tuple) {
  order_remove(s, tuple);
  p4_match_index_remove(&s->by_mask, mask_hash(t, mask_of(t, s, tuple)), tuple);
  p4_handles_return(&s->numbers, tuple);
}

void p4_tuples_free(p4_tuples *s) {
  free(s->order);
  free(s->masks);
  free(s->sizes);
  free(s->ranked);
  free(s->measured);
  free(s->next);
  free(s->tuple);
  p4_handles_free(&s->numbers);
  p4_match_index_free(&s->by_mask);
  p4_match_index_free(&s->heads);
  *s = (p4_tuples){0};
}

/* ---- entries --------------------------------------------------------------------------------------------------- */

static bool reserve_handles(p4_tuples *s, uint32_t handle) {
  if (handle < s->handles) return true;
  uint32_t handles = s->handles == 0 ? 8 : s->handles;
  while (handles <= handle) handles *= 2;
  uint32_t *next = realloc(s->next, handles * sizeof *next);
  if (next != NULL) s->next = next;
  uint32_t *tuple = realloc(s->tuple, handles * sizeof *tuple);
  if (tuple != NULL) s->tuple = tuple;
  if (next == NULL || tuple == NULL) return false;
  s->handles = handles;
  return true;
}

/* The first entry of a tuple with this value, or P4_NONE. */
P4_INLINE uint32_t find_head(const p4_table *t, const p4_tuples *s, uint32_t tuple, const uint64_t *value,
                             const unsigned words) {
  const uint32_t hash = value_hash(t, tuple, value, words);
  for (const uint64_t *at = p4_match_index_home(&s->heads, hash);;) {
    const uint32_t head = p4_match_index_next(&at, hash);
    if (head == P4_NONE) return P4_NONE;
    if (s->tuple[head] == tuple && p4_same_key(p4_ternary_match(t, head), value, words)) return head;
  }
}

bool p4_tuples_insert(const p4_table *t, p4_tuples *s, uint32_t handle) {
  const unsigned words = t->info->key_words;
  const uint64_t *value = p4_ternary_match(t, handle), *mask = value + words;
  const uint32_t priority = t->control->ranks[handle];
  if (!reserve_handles(s, handle) || !p4_match_index_reserve(&s->heads, t->count + 1)) return false;
  uint32_t tuple = find_tuple(t, s, mask);
  if (tuple == P4_NONE) tuple = new_tuple(t, s, mask, priority);
  if (tuple == P4_NONE) return false;
  if (priority > s->ranked[tuple]) {
    order_remove(s, tuple);
    order_insert(s, tuple, priority);
  }
  if (priority > s->measured[tuple]) s->measured[tuple] = priority;
  s->sizes[tuple]++;
  s->tuple[handle] = tuple;
  const uint32_t hash = value_hash(t, tuple, value, words), head = find_head(t, s, tuple, value, words);
  s->next[handle] = P4_NONE;
  if (head == P4_NONE) {
    p4_match_index_put(&s->heads, hash, handle);
  } else if (p4_ternary_better(t, handle, head)) {
    s->next[handle] = head;
    *p4_match_index_slot(&s->heads, hash, head) = (uint64_t)hash << 32 | (handle + 1);
  } else {
    uint32_t before = head;
    while (s->next[before] != P4_NONE && p4_ternary_better(t, s->next[before], handle)) before = s->next[before];
    s->next[handle] = s->next[before];
    s->next[before] = handle;
  }
  return true;
}

void p4_tuples_delete(const p4_table *t, p4_tuples *s, uint32_t handle) {
  const unsigned words = t->info->key_words;
  const uint64_t *value = p4_ternary_match(t, handle);
  const uint32_t tuple = s->tuple[handle];
  const uint32_t hash = value_hash(t, tuple, value, words), head = find_head(t, s, tuple, value, words);
  if (head != handle) {
    uint32_t before = head;
    while (s->next[before] != handle) before = s->next[before];
    s->next[before] = s->next[handle];
  } else if (s->next[handle] != P4_NONE) {
    *p4_match_index_slot(&s->heads, hash, head) = (uint64_t)hash << 32 | (s->next[handle] + 1);
  } else {
    p4_match_index_remove(&s->heads, hash, handle);
  }
  if (--s->sizes[tuple] == 0) drop_tuple(t, s, tuple);
  refresh_order(t, s);
}

P4_INLINE uint32_t search(const p4_table *t, const p4_tuples *s, const uint64_t *key, const unsigned words) {
  uint32_t best = P4_NONE, best_priority = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    const p4_tuple_rank rank = s->order[i];
    /* Equal priorities go on: the other entry's handle may be lower. */
    if (best != P4_NONE && rank.greatest < best_priority) break;
    const uint64_t *mask = s->masks + (uint64_t)rank.tuple * words;
    uint64_t value[words];
    for (unsigned w = 0; w < words; w++) value[w] = key[w] & mask[w];
    uint32_t handle = find_head(t, s, rank.tuple, value, words);
    if (t->info->range_count != 0)
      while (handle != P4_NONE && !p4_ranges_contain(t, handle, key)) handle = s->next[handle];
    if (handle == P4_NONE || !p4_ternary_better(t, handle, best)) continue;
    best = handle;
    best_priority = t->control->ranks[handle];
  }
  return best;
}

uint32_t p4_tuples_search(const p4_table *t, const p4_tuples *s, const uint64_t *key, unsigned words) {
  switch (words) {
    case 1: return search(t, s, key, 1);
    case 2: return search(t, s, key, 2);
    case 3: return search(t, s, key, 3);
    default: return search(t, s, key, words);
  }
}
