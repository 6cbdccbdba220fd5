/* SPDX-License-Identifier: Apache-2.0
 *
 * Making cuts anew takes milliseconds with thousands of entries, and packets wait for a control call. So it is
 * done in steps beside the cuts in use: look at all entries, choose the bits that cut, count what each part
 * will hold, and place the entries, the best first. Entries that come meanwhile wait with the others: what was
 * counted only has to be about right.
 */
#include "ternary_private.h"

#define PART_ENTRIES 256u    /* parts that are smaller on average gain nothing */
#define MOST_COPIES 4.0      /* of an entry, on average */
#define MAKE_STEPS 8u        /* that making a part is worth, and per block of it */

enum { ABSENT, WAITING, PLACED };

/* ---- choosing bits ------------------------------------------------------------------------------------------ */

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

static void count_bits(const p4_table *t, p4_cuts_build *b, uint32_t handle) {
  const uint32_t words = t->info->key_words;
  const uint64_t *value = p4_ternary_match(t, handle);
  for (uint32_t w = 0; w < words; w++)
    for (uint32_t i = 0; i < 64; i++) {
      b->use[w * 64 + i].either += ~value[words + w] >> i & 1;
      b->use[w * 64 + i].ones += value[w] >> i & 1;
    }
  b->scanned++;
}

/* The bits that come nearest to halving the entries, without too many that go both ways. */
static bool choose_bits(const p4_table *t, const p4_cuts_build *b, p4_cuts *c) {
  const uint32_t count = t->info->key_words * 64u;
  bit_rank *ranks = calloc(count, sizeof *ranks);
  if (ranks == NULL) return false;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t ones = b->use[i].ones, either = b->use[i].either, zeros = b->scanned - either - ones;
    ranks[i] = (bit_rank){either + (ones > zeros ? ones : zeros), either, i};
  }
  qsort(ranks, count, sizeof *ranks, by_most);
  double part = b->scanned, copies = 1;
  for (uint32_t i = 0; i < count && c->count < P4_CUTS && part > PART_ENTRIES; i++) {
    const double shared = (double)ranks[i].copies / b->scanned;
    if (copies * (1 + shared) > MOST_COPIES || ranks[i].most * 8 > UINT64_C(7) * b->scanned) break;
    part *= (double)ranks[i].most / b->scanned;
    copies *= 1 + shared;
    c->bits[c->count++] = (uint16_t)ranks[i].bit;
  }
  free(ranks);
  return true;
}

/* ---- the heap -------------------------------------------------------------------------------------------------- */

static bool push(p4_cuts_build *b, uint32_t priority, uint32_t handle) {
  if (b->waiting == b->room) {
    const uint32_t room = b->room == 0 ? 64 : b->room * 2;
    uint64_t *heap = realloc(b->heap, room * sizeof *heap);
    if (heap == NULL) return false;
    b->heap = heap;
    b->room = room;
  }
  const uint64_t item = (uint64_t)~priority << 32 | handle;
  uint32_t at = b->waiting++;
  for (; at > 0 && b->heap[(at - 1) / 2] > item; at = (at - 1) / 2) b->heap[at] = b->heap[(at - 1) / 2];
  b->heap[at] = item;
  b->stages[handle] = WAITING;
  return true;
}

static uint32_t pop(p4_cuts_build *b) {
  const uint32_t handle = (uint32_t)b->heap[0], count = --b->waiting;
  const uint64_t last = b->heap[count];
  uint32_t at = 0;
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    child += child + 1 < count && b->heap[child + 1] < b->heap[child];
    if (b->heap[child] >= last) break;
    b->heap[at] = b->heap[child];
  }
  b->heap[at] = last;
  return handle;
}

/* ---- phases ---------------------------------------------------------------------------------------------------- */

static uint32_t nibbles(const p4_table *t) { return t->info->key_words * 16u; }

static bool reserve_stages(const p4_table *t, p4_cuts_build *b) {
  if (t->ternary->end <= b->handles) return true;
  const uint32_t handles = t->ternary->end * 2;
  uint8_t *stages = realloc(b->stages, handles);
  if (stages == NULL) return false;
  memset(stages + b->handles, ABSENT, handles - b->handles);
  b->stages = stages;
  b->handles = handles;
  return true;
}

static bool begin_count(const p4_table *t, p4_cuts_build *b) {
  if (!choose_bits(t, b, &b->cuts)) return false;
  const size_t parts = (size_t)1 << b->cuts.count;
  b->cuts.parts = calloc(parts, sizeof *b->cuts.parts);
  b->sizes = calloc(parts, sizeof *b->sizes);
  b->matches = calloc(parts * nibbles(t), sizeof *b->matches);
  return b->cuts.parts != NULL && b->sizes != NULL && b->matches != NULL;
}

/* What an entry adds to its parts. Returns their number. */
static uint32_t count_entry(const p4_table *t, p4_cuts_build *b, uint32_t handle) {
  const p4_cut_parts p = p4_cuts_parts(t, &b->cuts, handle);
  uint32_t open = p.open, parts = 0;
  do {
    b->sizes[p.want | open]++;
    p4_bit_vectors_count(t, b->matches + (size_t)(p.want | open) * nibbles(t), handle);
    parts++;
  } while (p4_cut_next(p, &open));
  return parts;
}

/* Whether the phase has got to its end; the next begins at the first handle or part. */
static bool next_phase(p4_cuts_build *b, bool ended) {
  if (ended) {
    b->phase++;
    b->cursor = 0;
  }
  return ended;
}

/* Do a part of the work; `steps` is what it is worth. False when there is no memory. */
static bool work(const p4_table *t, p4_cuts_build *b, uint32_t *steps) {
  *steps = 1;
  switch (b->phase) {
    case P4_BUILD_SCAN:
      if (next_phase(b, b->cursor == t->ternary->end)) return begin_count(t, b);
      if (p4_handles_taken(&t->control->handles, b->cursor)) {
        count_bits(t, b, b->cursor);
        if (!push(b, t->control->ranks[b->cursor], b->cursor)) return false;
      }
      b->cursor++;
      return true;
    case P4_BUILD_COUNT:
      if (next_phase(b, b->cursor == t->ternary->end)) return true;
      if (b->stages[b->cursor] == WAITING) *steps += count_entry(t, b, b->cursor);
      b->cursor++;
      return true;
    case P4_BUILD_MAKE: {
      if (next_phase(b, b->cursor == 1u << b->cuts.count)) return true;
      const uint32_t part = b->cursor++, size = b->sizes[part];
      *steps = MAKE_STEPS * (1 + size / P4_BLOCK_ENTRIES);
      return p4_bit_vectors_init(t, &b->cuts.parts[part], b->matches + (size_t)part * nibbles(t), size);
    }
    default: {
      const uint32_t handle = pop(b);
      if (b->stages[handle] != WAITING) return true;
      *steps += 1u << __builtin_popcount(p4_cuts_parts(t, &b->cuts, handle).open);
      b->stages[handle] = PLACED;
      return p4_cuts_insert(t, &b->cuts, handle);
    }
  }
}

/* ---- builds ---------------------------------------------------------------------------------------------------- */

void p4_cuts_build_free(p4_cuts_build *b) {
  p4_cuts_free(&b->cuts);
  free(b->stages);
  free(b->heap);
  free(b->use);
  free(b->sizes);
  free(b->matches);
  *b = (p4_cuts_build){0};
}

bool p4_cuts_build_start(const p4_table *t, p4_cuts_build *b) {
  *b = (p4_cuts_build){.phase = P4_BUILD_SCAN, .use = calloc(t->info->key_words * 64u, sizeof *b->use)};
  if (b->use != NULL && reserve_stages(t, b)) return true;
  p4_cuts_build_free(b);
  return false;
}

bool p4_cuts_build_step(const p4_table *t, p4_cuts_build *b, uint32_t steps, p4_cuts *cuts) {
  bool memory = true;
  for (uint32_t done = 0, some; memory && done < steps; done += some) {
    if (b->phase == P4_BUILD_PLACE && b->waiting == 0) {
      *cuts = b->cuts;
      cuts->built = t->count;
      cuts->changes = 0;
      b->cuts = (p4_cuts){0};
      p4_cuts_build_free(b);
      return true;
    }
    memory = work(t, b, &some);
  }
  if (memory) return false;
  p4_cuts_build_free(b);
  *cuts = (p4_cuts){0};
  return true;
}

void p4_cuts_build_insert(const p4_table *t, p4_cuts_build *b, uint32_t handle) {
  /* What the scan has yet to come to it will find. While entries are placed this one goes to the end: among
   * worse ones it would keep searches from skipping them. */
  const bool scan = b->phase == P4_BUILD_SCAN && handle >= b->cursor;
  const uint32_t priority = b->phase == P4_BUILD_PLACE ? 0 : t->control->ranks[handle];
  if (!reserve_stages(t, b) || (!scan && !push(b, priority, handle))) p4_cuts_build_free(b);
}

void p4_cuts_build_delete(const p4_table *t, p4_cuts_build *b, uint32_t handle) {
  if (b->stages[handle] == PLACED) p4_cuts_delete(t, &b->cuts, handle);
  b->stages[handle] = ABSENT;
}
