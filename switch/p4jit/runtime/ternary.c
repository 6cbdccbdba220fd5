/* SPDX-License-Identifier: Apache-2.0
 *
 * Ternary and range tables.
 */
#include "table_private.h"

struct p4_ternary {
  uint32_t end;
};

bool p4_ternary_init(p4_table *t) { return (t->ternary = calloc(1, sizeof *t->ternary)) != NULL; }
void p4_ternary_free(p4_table *t) { free(t->ternary); t->ternary = NULL; }
bool p4_ternary_insert(p4_table *t, uint32_t handle) { if (handle >= t->ternary->end) t->ternary->end = handle + 1; return true; }
void p4_ternary_delete(p4_table *t, uint32_t handle) { (void)t; (void)handle; }

/* -1, 0 or 1 as the field in a is less than, equal to or greater than the one in b. */
static int compare_field(const p4_range_field *r, const uint64_t *a, const uint64_t *b) {
  if (r->width <= 64) {
    const uint64_t mask = r->width == 64 ? UINT64_MAX : (UINT64_C(1) << r->width) - 1;
    const uint64_t x = a[r->word] >> r->shift & mask, y = b[r->word] >> r->shift & mask;
    return x < y ? -1 : x > y;
  }
  for (uint32_t i = (r->width + 63) / 64; i-- > 0;)
    if (a[r->word + i] != b[r->word + i]) return a[r->word + i] < b[r->word + i] ? -1 : 1;
  return 0;
}

static uint64_t field_bits(const p4_range_field *r, uint32_t word) {
  if (r->width <= 64) {
    if (word != r->word) return 0;
    return (r->width == 64 ? UINT64_MAX : (UINT64_C(1) << r->width) - 1) << r->shift;
  }
  if (word < r->word || word >= r->word + (r->width + 63) / 64) return 0;
  const uint32_t left = r->width - (word - r->word) * 64;
  return left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}

static uint64_t range_bits(const p4_table_info *info, uint32_t word) {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < info->range_count; i++) bits |= field_bits(&info->ranges[i], word);
  return bits;
}

bool p4_ternary_valid(const p4_table_info *info, const uint64_t *key, const uint64_t *mask) {
  for (uint32_t i = 0; i < info->range_count; i++)
    if (compare_field(&info->ranges[i], key, mask) > 0) return false;
  for (uint32_t w = 0; w < info->key_words; w++)
    if ((key[w] & ~mask[w] & ~range_bits(info, w)) != 0) return false;
  return true;
}

p4_entry *p4_ternary_search(p4_table *t, const uint64_t *key, unsigned words) {
  const p4_table_info *info = t->info;
  p4_entry *best = NULL;
  uint32_t best_priority = 0;
  for (uint32_t h = 0; h < t->ternary->end; h++) {
    if (!p4_handles_taken(&t->control->handles, h)) continue;
    const uint64_t *value = p4_table_record(t, h), *mask = value + words;
    bool match = true;
    for (uint32_t w = 0; w < words; w++) match &= ((key[w] ^ value[w]) & mask[w] & ~range_bits(info, w)) == 0;
    for (uint32_t i = 0; i < info->range_count; i++)
      match &= compare_field(&info->ranges[i], value, key) <= 0 && compare_field(&info->ranges[i], key, mask) <= 0;
    if (match && (best == NULL || t->control->ranks[h] > best_priority)) {
      best = (p4_entry *)(t->entries + h * t->entry_stride);
      best_priority = t->control->ranks[h];
    }
  }
  return best;
}
