/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

#define BLOCK_WORDS (P4_BLOCK_ENTRIES / 64) /* of one row: a cache line */
#define FIRST_ROWS 6u        /* looked at before it is asked whether any entry is left */

/* Half a block's bits of a row. */
typedef uint64_t half __attribute__((vector_size(32)));
typedef long long signed_half __attribute__((vector_size(32)));

static uint64_t rows_bytes(const p4_bit_vectors *v) {
  return (uint64_t)v->nibble_count * 16 * v->blocks * BLOCK_WORDS * sizeof(uint64_t);
}

void p4_bit_vectors_free(p4_bit_vectors *v) {
  if (v->rows != NULL) p4_block_free(v->rows, rows_bytes(v));
  free(v->greatest);
  *v = (p4_bit_vectors){0};
}

/* ---- which nibbles ------------------------------------------------------------------------------------------ */

typedef struct nibble_rank {
  uint64_t matches;          /* of 16 values, summed over the entries: the fewer the more selective */
  uint32_t nibble;
} nibble_rank;

static int by_matches(const void *a, const void *b) {
  const nibble_rank *x = a, *y = b;
  if (x->matches != y->matches) return x->matches < y->matches ? -1 : 1;
  return x->nibble < y->nibble ? -1 : x->nibble > y->nibble;
}

static bool choose_nibbles(const p4_table *t, p4_bit_vectors *v) {
  const uint32_t words = t->info->key_words, count = words * 16;
  nibble_rank *ranks = calloc(count, sizeof *ranks);
  if (ranks == NULL) return false;
  for (uint32_t i = 0; i < count; i++) ranks[i].nibble = i;
  for (uint32_t handle = 0; handle < t->ternary->end; handle++) {
    if (!p4_handles_taken(&t->control->handles, handle)) continue;
    const uint64_t *mask = p4_ternary_match(t, handle) + words;
    for (uint32_t i = 0; i < count; i++)
      ranks[i].matches += 16u >> __builtin_popcount((unsigned)(mask[i / 16] >> i % 16 * 4) & 15);
  }
  qsort(ranks, count, sizeof *ranks, by_matches);
  const uint64_t useless = (uint64_t)t->count * 16;
  v->nibble_count = 0;
  for (uint32_t i = 0; i < count && i < P4_NIBBLES; i++) {
    /* At least one: an entry is there where it has bits. */
    if (i != 0 && ranks[i].matches >= useless) break;
    v->nibbles[v->nibble_count++] = (p4_nibble){(uint16_t)(ranks[i].nibble / 16), (uint8_t)(ranks[i].nibble % 16 * 4)};
  }
  free(ranks);
  return true;
}

/* ---- entries -------------------------------------------------------------------------------------------------- */

/* Rows lie apart so that the same row of all blocks is read in sequence. */
static uint64_t *row_at(const p4_bit_vectors *v, uint32_t nibble, uint32_t value, uint32_t block) {
  return v->rows + (((uint64_t)nibble * 16 + value) * v->blocks + block) * BLOCK_WORDS;
}

bool p4_bit_vectors_insert(const p4_table *t, p4_bit_vectors *v, uint32_t handle) {
  if (handle / P4_BLOCK_ENTRIES >= v->blocks) return false;
  const uint32_t block = handle / P4_BLOCK_ENTRIES, position = handle % P4_BLOCK_ENTRIES;
  const uint64_t *value = p4_ternary_match(t, handle), *mask = value + t->info->key_words;
  const uint64_t bit = UINT64_C(1) << position % 64;
  for (uint32_t i = 0; i < v->nibble_count; i++) {
    const p4_nibble n = v->nibbles[i];
    const uint32_t want = (uint32_t)(value[n.word] >> n.shift) & 15, care = (uint32_t)(mask[n.word] >> n.shift) & 15;
    for (uint32_t x = 0; x < 16; x++)
      if (((x ^ want) & care) == 0) row_at(v, i, x, block)[position / 64] |= bit;
  }
  if (t->control->ranks[handle] > v->greatest[block]) v->greatest[block] = t->control->ranks[handle];
  return true;
}

void p4_bit_vectors_delete(p4_bit_vectors *v, uint32_t handle) {
  const uint32_t block = handle / P4_BLOCK_ENTRIES, position = handle % P4_BLOCK_ENTRIES;
  const uint64_t bit = UINT64_C(1) << position % 64;
  for (uint32_t i = 0; i < v->nibble_count; i++)
    for (uint32_t x = 0; x < 16; x++) row_at(v, i, x, block)[position / 64] &= ~bit;
}

bool p4_bit_vectors_build(const p4_table *t, p4_bit_vectors *v) {
  p4_bit_vectors_free(v);
  if (!choose_nibbles(t, v)) return false;
  /* Half as much again: rows cannot grow one by one. */
  v->blocks = t->ternary->end / P4_BLOCK_ENTRIES * 3 / 2 + 1;
  v->rows = p4_block_new(rows_bytes(v));
  v->greatest = calloc(v->blocks, sizeof *v->greatest);
  if (v->rows == NULL || v->greatest == NULL) {
    p4_bit_vectors_free(v);
    return false;
  }
  memset(v->rows, 0, rows_bytes(v));
  for (uint32_t handle = 0; handle < t->ternary->end; handle++)
    if (p4_handles_taken(&t->control->handles, handle)) (void)p4_bit_vectors_insert(t, v, handle);
  v->built = t->count;
  return true;
}

/* ---- search --------------------------------------------------------------------------------------------------- */

P4_INLINE bool any(const half *left) {
  const half both = left[0] | left[1];
#ifdef __AVX__
  return !__builtin_ia32_ptestz256((signed_half)both, (signed_half)both);
#else
  return (both[0] | both[1] | both[2] | both[3]) != 0;
#endif
}

P4_INLINE uint32_t search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key, const unsigned words) {
  const uint32_t count = v->nibble_count, first = count < FIRST_ROWS ? count : FIRST_ROWS;
  const uint32_t blocks = t->ternary->end / P4_BLOCK_ENTRIES + 1 < v->blocks ? t->ternary->end / P4_BLOCK_ENTRIES + 1 : v->blocks;
  uint32_t best = P4_NONE, ready = 0;
  const half *rows[P4_NIBBLES];
  for (uint32_t block = 0; block < blocks; block++) {
    /* Handles grow from block to block: an equal priority cannot win here. */
    if (best != P4_NONE && v->greatest[block] <= t->control->ranks[best]) continue;
    half left[2] = {~(half){0}, ~(half){0}};
    for (uint32_t i = 0; i < count; i++) {
      if (i == ready) {
        const p4_nibble n = v->nibbles[ready++];
        rows[i] = (const half *)row_at(v, i, (uint32_t)(key[n.word] >> n.shift) & 15, 0);
      }
      left[0] &= rows[i][2 * block];
      left[1] &= rows[i][2 * block + 1];
      if (i + 1 >= first && !any(left)) break;
    }
    for (unsigned w = 0; w < BLOCK_WORDS; w++)
      for (uint64_t bits = left[w / 4][w % 4]; bits != 0; bits &= bits - 1) {
        const uint32_t handle = block * P4_BLOCK_ENTRIES + w * 64 + (uint32_t)__builtin_ctzll(bits);
        if (p4_ternary_better(t, handle, best) && p4_ternary_matches(t, handle, key, words)) best = handle;
      }
  }
  return best;
}

uint32_t p4_bit_vectors_search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key, unsigned words) {
  switch (words) {
    case 1: return search(t, v, key, 1);
    case 2: return search(t, v, key, 2);
    case 3: return search(t, v, key, 3);
    default: return search(t, v, key, words);
  }
}
