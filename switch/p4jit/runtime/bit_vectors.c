/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

#define BLOCK_WORDS (P4_BLOCK_ENTRIES / 64) /* of one row: a cache line */
#define FIRST_ROWS 8u        /* looked at before it is asked whether any entry is left */

static uint64_t rows_bytes(const p4_bit_vectors *v) {
  return (uint64_t)v->nibble_count * 16 * v->blocks * BLOCK_WORDS * sizeof(uint64_t);
}

void p4_bit_vectors_free(p4_bit_vectors *v) {
  if (v->rows != NULL) p4_block_free(v->rows, rows_bytes(v));
  free(v->greatest);
  free(v->handles);
  free(v->position);
  p4_handles_free(&v->positions);
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
  if (handle >= v->capacity) return false;
  const uint32_t at = p4_handles_take(&v->positions);
  if (at == P4_NONE) return false;
  if (at / P4_BLOCK_ENTRIES >= v->blocks) {
    p4_handles_return(&v->positions, at);
    return false;
  }
  const uint32_t block = at / P4_BLOCK_ENTRIES, word = at % P4_BLOCK_ENTRIES / 64;
  const uint64_t *value = p4_ternary_match(t, handle), *mask = value + t->info->key_words;
  const uint64_t bit = UINT64_C(1) << at % 64;
  for (uint32_t i = 0; i < v->nibble_count; i++) {
    const p4_nibble n = v->nibbles[i];
    const uint32_t want = (uint32_t)(value[n.word] >> n.shift) & 15, care = (uint32_t)(mask[n.word] >> n.shift) & 15;
    for (uint32_t x = 0; x < 16; x++)
      if (((x ^ want) & care) == 0) row_at(v, i, x, block)[word] |= bit;
  }
  v->handles[at] = handle;
  v->position[handle] = at;
  if (at >= v->end) v->end = at + 1;
  if (t->control->ranks[handle] > v->greatest[block]) v->greatest[block] = t->control->ranks[handle];
  return true;
}

void p4_bit_vectors_delete(p4_bit_vectors *v, uint32_t handle) {
  const uint32_t at = v->position[handle], block = at / P4_BLOCK_ENTRIES, word = at % P4_BLOCK_ENTRIES / 64;
  const uint64_t bit = UINT64_C(1) << at % 64;
  for (uint32_t i = 0; i < v->nibble_count; i++)
    for (uint32_t x = 0; x < 16; x++) row_at(v, i, x, block)[word] &= ~bit;
  p4_handles_return(&v->positions, at);
}

static int ascending(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Insert all entries, greatest priority first: a search that has found one skips the blocks behind it. */
static bool insert_all(const p4_table *t, p4_bit_vectors *v) {
  uint64_t *sorted = calloc(t->count, sizeof *sorted);
  if (sorted == NULL) return false;
  uint32_t count = 0;
  for (uint32_t handle = 0; handle < t->ternary->end && count < t->count; handle++)
    if (p4_handles_taken(&t->control->handles, handle))
      sorted[count++] = (uint64_t)~t->control->ranks[handle] << 32 | handle;
  qsort(sorted, count, sizeof *sorted, ascending);
  bool done = true;
  for (uint32_t i = 0; done && i < count; i++) done = p4_bit_vectors_insert(t, v, (uint32_t)sorted[i]);
  free(sorted);
  return done;
}

bool p4_bit_vectors_build(const p4_table *t, p4_bit_vectors *v) {
  p4_bit_vectors_free(v);
  if (!choose_nibbles(t, v)) return false;
  /* Rows cannot grow one by one: there is room for half as many entries again. */
  v->blocks = t->count / P4_BLOCK_ENTRIES * 3 / 2 + 1;
  v->capacity = t->ternary->end + t->count;
  v->rows = p4_block_new(rows_bytes(v));
  v->greatest = calloc(v->blocks, sizeof *v->greatest);
  v->handles = calloc((uint64_t)v->blocks * P4_BLOCK_ENTRIES, sizeof *v->handles);
  v->position = calloc(v->capacity, sizeof *v->position);
  bool done = v->rows != NULL && v->greatest != NULL && v->handles != NULL && v->position != NULL;
  if (done) {
    memset(v->rows, 0, rows_bytes(v));
    done = insert_all(t, v);
  }
  v->built = t->count;
  if (!done) p4_bit_vectors_free(v);
  return done;
}

/* ---- search --------------------------------------------------------------------------------------------------- */

/* What a search knows of its key: its rows, from the first block on. */
typedef struct key_rows {
  const uint64_t *first[FIRST_ROWS];
  const uint64_t *more[P4_NIBBLES - FIRST_ROWS];
  uint32_t more_count;
} key_rows;

static void find_rows(const p4_bit_vectors *v, const uint64_t *key, key_rows *r) {
  for (uint32_t i = 0; i < v->nibble_count; i++) {
    const p4_nibble n = v->nibbles[i];
    const uint64_t *rows = row_at(v, i, (uint32_t)(key[n.word] >> n.shift) & 15, 0);
    if (i < FIRST_ROWS)
      r->first[i] = rows;
    else
      r->more[i - FIRST_ROWS] = rows;
  }
  for (uint32_t i = v->nibble_count; i < FIRST_ROWS; i++) r->first[i] = r->first[0];
  r->more_count = v->nibble_count > FIRST_ROWS ? v->nibble_count - FIRST_ROWS : 0;
}

/* The best of a block's entries that are in all rows, match, and are better than `best`. */
static uint32_t compare_left(const p4_table *t, const p4_bit_vectors *v, const key_rows *r, uint32_t block,
                             const uint64_t *key, uint32_t best) {
  for (uint32_t w = block * BLOCK_WORDS; w < (block + 1) * BLOCK_WORDS; w++) {
    uint64_t left = UINT64_MAX;
    for (uint32_t i = 0; i < FIRST_ROWS; i++) left &= r->first[i][w];
    for (uint32_t i = 0; left != 0 && i < r->more_count; i++) left &= r->more[i][w];
    for (; left != 0; left &= left - 1) {
      const uint32_t handle = v->handles[w * 64 + (uint32_t)__builtin_ctzll(left)];
      if (p4_ternary_better(t, handle, best) && p4_ternary_matches(t, handle, key, t->info->key_words)) best = handle;
    }
  }
  return best;
}

/* Eight rows' words from `at` on that are set in all of them. */
#define COMMON(type, r, at)                                                                                     \
  (*(const type *)((r)->first[0] + (at)) & *(const type *)((r)->first[1] + (at)) &                              \
   *(const type *)((r)->first[2] + (at)) & *(const type *)((r)->first[3] + (at)) &                              \
   *(const type *)((r)->first[4] + (at)) & *(const type *)((r)->first[5] + (at)) &                              \
   *(const type *)((r)->first[6] + (at)) & *(const type *)((r)->first[7] + (at)))

typedef uint64_t pair __attribute__((vector_size(16), may_alias));

static uint32_t search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key, const key_rows *r,
                       uint32_t blocks) {
  uint32_t best = P4_NONE;
  for (uint32_t block = 0; block < blocks; block++) {
    if (best != P4_NONE && v->greatest[block] < t->control->ranks[best]) continue;
    const uint64_t at = (uint64_t)block * BLOCK_WORDS;
    const pair left = (COMMON(pair, r, at) | COMMON(pair, r, at + 2)) | (COMMON(pair, r, at + 4) | COMMON(pair, r, at + 6));
    if (P4_UNLIKELY((left[0] | left[1]) != 0)) best = compare_left(t, v, r, block, key, best);
  }
  return best;
}

#ifdef __x86_64__
typedef long long four __attribute__((vector_size(32), may_alias));

__attribute__((target("avx2"))) static uint32_t search_avx2(const p4_table *t, const p4_bit_vectors *v,
                                                            const uint64_t *key, const key_rows *r, uint32_t blocks) {
  uint32_t best = P4_NONE;
  for (uint32_t block = 0; block < blocks; block++) {
    if (best != P4_NONE && v->greatest[block] < t->control->ranks[best]) continue;
    const uint64_t at = (uint64_t)block * BLOCK_WORDS;
    const four left = COMMON(four, r, at) | COMMON(four, r, at + 4);
    if (P4_UNLIKELY(!__builtin_ia32_ptestz256(left, left))) best = compare_left(t, v, r, block, key, best);
  }
  return best;
}
#endif

uint32_t p4_bit_vectors_search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key) {
  const uint32_t blocks = (v->end + P4_BLOCK_ENTRIES - 1) / P4_BLOCK_ENTRIES;
  key_rows rows;
  find_rows(v, key, &rows);
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return search_avx2(t, v, key, &rows, blocks);
#endif
  return search(t, v, key, &rows, blocks);
}
