/* SPDX-License-Identifier: Apache-2.0
 *
 * The three ways in which ternary and range tables find entries (ternary.c chooses): a short list; tuples, a
 * hash lookup a distinct mask; bit vectors, a scan of a bit an entry, cut by a few bits of the key.
 */
#ifndef P4JIT_TERNARY_PRIVATE_H
#define P4JIT_TERNARY_PRIVATE_H

#include "table_private.h"

#define P4_LIST_ENTRIES 16u

/* ---- tuples.c: entries grouped by mask (tuple space search) ------------------------------------------ */

typedef struct p4_tuple_rank {
  uint32_t tuple;
  uint32_t greatest;         /* no entry's priority is above; may be too high after deletions */
} p4_tuple_rank;

/* All zero is empty. */
typedef struct p4_tuples {
  p4_tuple_rank *order;      /* of the `count` tuples, greatest priority first */
  uint64_t *masks;           /* by tuple */
  uint32_t *sizes;           /* by tuple: entries */
  uint32_t *ranked;          /* by tuple: what its `greatest` in order is */
  uint32_t count;
  uint32_t capacity;         /* tuples there is room for */
  p4_handles numbers;        /* of tuples */
  p4_match_index by_mask;    /* tuples */
  p4_match_index heads;      /* handles: the best entry of each tuple and value; the others follow by next */
  uint32_t *next;            /* by handle */
  uint32_t *tuple;           /* by handle */
  uint32_t handles;          /* there is room for */
  uint32_t deletions;        /* since `greatest` were last true */
  enum { P4_ORDER_KEPT, P4_ORDER_MEASURED, P4_ORDER_MENDED } order_work;
  uint32_t cursor;           /* handle or tuple that order_work is at */
  uint32_t *measured;        /* by tuple: the greatest priority of its entries found so far, or since inserted */
} p4_tuples;

void p4_tuples_free(p4_tuples *s);
bool p4_tuples_insert(const p4_table *t, p4_tuples *s, uint32_t handle);
void p4_tuples_delete(const p4_table *t, p4_tuples *s, uint32_t handle);
/* The handle of the best entry that matches, or P4_NONE. */
uint32_t p4_tuples_search(const p4_table *t, const p4_tuples *s, const uint64_t *key, unsigned words);

/* ---- bit_vectors.c: for groups of 4 key bits, which entries each of their 16 values may match -------------- */

#define P4_NIBBLES 16u       /* looked at at most; entries that remain are compared as a whole */
#define P4_BLOCK_ENTRIES 512u

typedef struct p4_nibble {
  uint16_t word;
  uint8_t shift;
} p4_nibble;

/* Entries have positions, 512 of them a block. All zero is empty. */
typedef struct p4_bit_vectors {
  uint64_t *rows;            /* for each nibble, value and block 8 words */
  uint32_t *greatest;        /* by block: no entry's priority is above */
  uint32_t *handles;         /* by position */
  p4_handles positions;
  uint32_t end;              /* above all positions in use */
  uint32_t blocks;           /* there is room for */
  uint32_t nibble_count;
  uint32_t first_count;      /* nibbles after which it is worth asking whether any entry is left: 4, 6 or 8 */
  p4_nibble nibbles[P4_NIBBLES]; /* the most selective first */
} p4_bit_vectors;

/* Vectors for about `count` entries, which have yet to be inserted, the best first: a search that has found one
 * skips blocks behind it. `matches`: for each nibble of the key, how many of its 16 values an entry may match,
 * summed over the entries (p4_bit_vectors_count). False, and empty, when there is no memory. */
bool p4_bit_vectors_init(const p4_table *t, p4_bit_vectors *v, const uint32_t *matches, uint32_t count);
void p4_bit_vectors_count(const p4_table *t, uint32_t *matches, uint32_t handle);
void p4_bit_vectors_free(p4_bit_vectors *v);
/* False when there is no memory. */
bool p4_bit_vectors_insert(const p4_table *t, p4_bit_vectors *v, uint32_t handle);
void p4_bit_vectors_delete(p4_bit_vectors *v, uint32_t handle);
uint32_t p4_bit_vectors_search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key);

/* ---- cuts.c: bit vectors apart for each value of a few key bits --------------------------------------------- */

#define P4_CUTS 8u

/* All zero is empty. */
typedef struct p4_cuts {
  p4_bit_vectors *parts;     /* 2^count; an entry is in all that it may match */
  uint32_t count;
  uint32_t built;            /* entries when all was made anew */
  uint32_t changes;          /* since then: entries are no longer in order of priority */
  uint16_t bits[P4_CUTS];    /* of the key */
} p4_cuts;

/* The parts an entry is in: `want` with any of the bits of `open`. */
typedef struct p4_cut_parts {
  uint32_t want;
  uint32_t open;
} p4_cut_parts;

p4_cut_parts p4_cuts_parts(const p4_table *t, const p4_cuts *c, uint32_t handle);
/* Visit them: `open` starts as all of them; false after the last. */
static inline bool p4_cut_next(p4_cut_parts p, uint32_t *open) {
  if (*open == 0) return false;
  *open = (*open - 1) & p.open;
  return true;
}

void p4_cuts_free(p4_cuts *c);
/* False, and empty, when there is no memory. */
bool p4_cuts_insert(const p4_table *t, p4_cuts *c, uint32_t handle);
void p4_cuts_delete(const p4_table *t, p4_cuts *c, uint32_t handle);
uint32_t p4_cuts_search(const p4_table *t, const p4_cuts *c, const uint64_t *key);

/* ---- cuts_build.c: making cuts in steps, while entries come and go ------------------------------------------ */

#define P4_CONTROL_STEPS 256u /* per control call */
#define P4_PACKET_STEPS 16u   /* per lookup, so that a build ends when the control plane rests */

typedef struct p4_bit_use {
  uint64_t ones;             /* entries that want this bit set */
  uint64_t either;           /* entries that match both of its values */
} p4_bit_use;

/* All zero: no build under way. The entries are put in order by a heap: a sort in steps. */
typedef struct p4_cuts_build {
  enum { P4_BUILD_NONE, P4_BUILD_SCAN, P4_BUILD_COUNT, P4_BUILD_MAKE, P4_BUILD_PLACE } phase;
  uint32_t cursor;           /* handle, or in MAKE the part, that the phase is at */
  uint8_t *stages;           /* by handle: absent, waiting in the heap, or placed */
  uint32_t handles;          /* stages has room for */
  uint64_t *heap;            /* ~priority << 32 | handle, the least first */
  uint32_t waiting;          /* in the heap; those deleted or placed since are passed over */
  uint32_t room;             /* of the heap */
  p4_bit_use *use;           /* by bit of the key, from SCAN on */
  uint32_t scanned;
  uint32_t *sizes;           /* by part: entries, from COUNT on */
  uint32_t *matches;         /* by part and nibble */
  p4_cuts cuts;
} p4_cuts_build;

/* Begin. False, and none under way, when there is no memory. */
bool p4_cuts_build_start(const p4_table *t, p4_cuts_build *b);
void p4_cuts_build_free(p4_cuts_build *b);
/* Go on for about `steps` entries. True when it ends: `cuts` is then complete and the caller's; empty when
 * there was no memory. */
bool p4_cuts_build_step(const p4_table *t, p4_cuts_build *b, uint32_t steps, p4_cuts *cuts);
/* An entry that came. */
void p4_cuts_build_insert(const p4_table *t, p4_cuts_build *b, uint32_t handle);
/* An entry that goes. */
void p4_cuts_build_delete(const p4_table *t, p4_cuts_build *b, uint32_t handle);

/* ---- ternary.c ------------------------------------------------------------------------------------------------ */

struct p4_ternary {
  /* Range tables, by handle: value and mask in which a range field has only the bits its bounds share. */
  uint64_t *effective;
  uint32_t handles;          /* effective has room for */
  uint32_t end;              /* above all handles in use */
  bool use_list;
  bool use_cuts;             /* else tuples, which are always there */
  uint32_t list[P4_LIST_ENTRIES]; /* the best first */
  p4_tuples tuples;
  p4_cuts cuts;
  p4_cuts_build build;       /* of the next cuts; the way of searching stays until it ends */
};

/* The value and the mask that an entry's key bits must have, range fields apart. */
static inline const uint64_t *p4_ternary_match(const p4_table *t, uint32_t handle) {
  const uint64_t *matches = t->info->range_count != 0 ? t->ternary->effective : t->control->records;
  return matches + (uint64_t)handle * t->control->record_words;
}

static inline bool p4_ternary_better(const p4_table *t, uint32_t a, uint32_t b) {
  const uint32_t *ranks = t->control->ranks;
  return b == P4_NONE || ranks[a] > ranks[b] || (ranks[a] == ranks[b] && a < b);
}

bool p4_ranges_contain(const p4_table *t, uint32_t handle, const uint64_t *key);

P4_INLINE bool p4_ternary_matches(const p4_table *t, uint32_t handle, const uint64_t *key, const unsigned words) {
  const uint64_t *value = p4_ternary_match(t, handle), *mask = value + words;
  uint64_t difference = 0;
  for (unsigned w = 0; w < words; w++) difference |= (key[w] ^ value[w]) & mask[w];
  return difference == 0 && (t->info->range_count == 0 || p4_ranges_contain(t, handle, key));
}

#endif
