/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

/* The bits that cut, of a key, a value or a mask. */
static uint32_t gather(const p4_cuts *c, const uint64_t *words) {
  uint32_t part = 0;
  for (uint32_t i = 0; i < c->count && i < P4_CUTS; i++)
    part |= (uint32_t)(words[c->bits[i] / 64] >> c->bits[i] % 64 & 1) << i;
  return part;
}

p4_cut_parts p4_cuts_parts(const p4_table *t, const p4_cuts *c, uint32_t handle) {
  const uint64_t *value = p4_ternary_match(t, handle);
  const uint32_t care = gather(c, value + t->info->key_words);
  return (p4_cut_parts){gather(c, value) & care, ~care & ((1u << c->count) - 1)};
}

void p4_cuts_free(p4_cuts *c) {
  for (uint32_t i = 0; c->parts != NULL && i < 1u << c->count; i++) p4_bit_vectors_free(&c->parts[i]);
  free(c->parts);
  *c = (p4_cuts){0};
}

bool p4_cuts_insert(const p4_table *t, p4_cuts *c, uint32_t handle) {
  const p4_cut_parts p = p4_cuts_parts(t, c, handle);
  uint32_t open = p.open;
  c->changes++;
  do {
    if (p4_bit_vectors_insert(t, &c->parts[p.want | open], handle)) continue;
    p4_cuts_free(c);
    return false;
  } while (p4_cut_next(p, &open));
  return true;
}

void p4_cuts_delete(const p4_table *t, p4_cuts *c, uint32_t handle) {
  const p4_cut_parts p = p4_cuts_parts(t, c, handle);
  uint32_t open = p.open;
  c->changes++;
  do {
    p4_bit_vectors_delete(&c->parts[p.want | open], handle);
  } while (p4_cut_next(p, &open));
}

uint32_t p4_cuts_search(const p4_table *t, const p4_cuts *c, const uint64_t *key) {
  return p4_bit_vectors_search(t, &c->parts[gather(c, key)], key);
}
