/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

#define PART_ENTRIES 256u    /* parts that are smaller on average gain nothing */
#define MOST_COPIES 4.0      /* of an entry, on average */

/* The bits that cut, of a key, a value or a mask. */
static uint32_t gather(const p4_cuts *c, const uint64_t *words) {
  uint32_t part = 0;
  for (uint32_t i = 0; i < c->count && i < P4_CUTS; i++)
    part |= (uint32_t)(words[c->bits[i] / 64] >> c->bits[i] % 64 & 1) << i;
  return part;
}

typedef struct bit_rank {
  uint64_t most;             /* entries that the larger half would have */
  uint64_t copies;           /* entries in both halves */
  uint32_t bit;
} bit_rank;

static int by_most(const void *a, const void *b) {
  const bit_rank *x = a, *y = b;
  if (x->most != y->most) return x->most < y->most ? -1 : 1;
  return x->bit < y->bit ? -1 : x->bit > y->bit;
}

/* The bits that come nearest to halving the entries, without too many that go both ways. */
static bool choose_bits(const p4_table *t, p4_cuts *c, const uint32_t *handles) {
  const uint32_t words = t->info->key_words, count = words * 64;
  bit_rank *ranks = calloc(count, sizeof *ranks);
  if (ranks == NULL) return false;
  for (uint32_t k = 0; k < t->count; k++) {
    const uint64_t *value = p4_ternary_match(t, handles[k]);
    for (uint32_t w = 0; w < words; w++)
      for (uint32_t b = 0; b < 64; b++) {
        ranks[w * 64 + b].copies += ~value[words + w] >> b & 1;
        ranks[w * 64 + b].most += value[w] >> b & 1;
      }
  }
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t both = ranks[i].copies, ones = ranks[i].most, zeros = t->count - both - ones;
    ranks[i] = (bit_rank){both + (ones > zeros ? ones : zeros), both, i};
  }
  qsort(ranks, count, sizeof *ranks, by_most);
  double part = t->count, copies = 1;
  for (uint32_t i = 0; i < count && c->count < P4_CUTS; i++) {
    const double shared = (double)ranks[i].copies / t->count;
    if (part <= PART_ENTRIES || copies * (1 + shared) > MOST_COPIES) break;
    if (ranks[i].most * 8 > UINT64_C(7) * t->count) break;
    part *= (double)ranks[i].most / t->count;
    copies *= 1 + shared;
    c->bits[c->count++] = (uint16_t)ranks[i].bit;
  }
  free(ranks);
  return true;
}

void p4_cuts_free(p4_cuts *c) {
  for (uint32_t i = 0; c->parts != NULL && i < 1u << c->count; i++) p4_bit_vectors_free(&c->parts[i]);
  free(c->parts);
  *c = (p4_cuts){0};
}

static int ascending(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* All handles, the best entry's first. */
static bool sort_entries(const p4_table *t, uint32_t *handles) {
  uint64_t *sorted = calloc(t->count, sizeof *sorted);
  if (sorted == NULL) return false;
  uint32_t count = 0;
  for (uint32_t handle = 0; handle < t->ternary->end && count < t->count; handle++)
    if (p4_handles_taken(&t->control->handles, handle))
      sorted[count++] = (uint64_t)~t->control->ranks[handle] << 32 | handle;
  qsort(sorted, count, sizeof *sorted, ascending);
  for (uint32_t i = 0; i < count; i++) handles[i] = (uint32_t)sorted[i];
  free(sorted);
  return true;
}

/* The parts an entry is in: those whose number is `want` where the bits of `care` are set. */
typedef struct parts_of {
  uint32_t want;
  uint32_t care;
} parts_of;

static parts_of find_parts(const p4_table *t, const p4_cuts *c, uint32_t handle) {
  const uint64_t *value = p4_ternary_match(t, handle);
  return (parts_of){gather(c, value), gather(c, value + t->info->key_words)};
}

static bool is_in(parts_of p, uint32_t part) { return ((p.want ^ part) & p.care) == 0; }

/* What building needs for a while, for each entry. */
typedef struct workspace {
  uint32_t *handles;         /* the best entry's first */
  uint32_t *chosen;
  parts_of *parts;
} workspace;

static bool build_parts(const p4_table *t, p4_cuts *c, const workspace *w) {
  if (!sort_entries(t, w->handles) || !choose_bits(t, c, w->handles)) return false;
  c->parts = calloc((size_t)1 << c->count, sizeof *c->parts);
  if (c->parts == NULL) return false;
  for (uint32_t i = 0; i < t->count; i++) w->parts[i] = find_parts(t, c, w->handles[i]);
  for (uint32_t part = 0; part < 1u << c->count; part++) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++)
      if (is_in(w->parts[i], part)) w->chosen[count++] = w->handles[i];
    if (!p4_bit_vectors_build(t, &c->parts[part], w->chosen, count)) return false;
  }
  c->built = t->count;
  return true;
}

bool p4_cuts_build(const p4_table *t, p4_cuts *c) {
  p4_cuts_free(c);
  const workspace w = {calloc(t->count, sizeof *w.handles), calloc(t->count, sizeof *w.chosen),
                       calloc(t->count, sizeof *w.parts)};
  const bool done = w.handles != NULL && w.chosen != NULL && w.parts != NULL && build_parts(t, c, &w);
  free(w.handles);
  free(w.chosen);
  free(w.parts);
  if (!done) p4_cuts_free(c);
  return done;
}

bool p4_cuts_insert(const p4_table *t, p4_cuts *c, uint32_t handle) {
  const parts_of p = find_parts(t, c, handle);
  c->changes++;
  for (uint32_t part = 0; part < 1u << c->count; part++) {
    if (!is_in(p, part) || p4_bit_vectors_insert(t, &c->parts[part], handle)) continue;
    p4_cuts_free(c);
    return false;
  }
  return true;
}

void p4_cuts_delete(const p4_table *t, p4_cuts *c, uint32_t handle) {
  const parts_of p = find_parts(t, c, handle);
  c->changes++;
  for (uint32_t part = 0; part < 1u << c->count; part++)
    if (is_in(p, part)) p4_bit_vectors_delete(&c->parts[part], handle);
}

uint32_t p4_cuts_search(const p4_table *t, const p4_cuts *c, const uint64_t *key) {
  return p4_bit_vectors_search(t, &c->parts[gather(c, key)], key);
}
