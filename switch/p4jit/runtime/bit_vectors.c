/* SPDX-License-Identifier: Apache-2.0 */
#include "ternary_private.h"

#define BLOCK_WORDS (P4_BLOCK_ENTRIES / 64) /* of one row: a cache line */
#define FEW_LEFT 0.1         /* entries of a block that the first rows should leave for a key that matches none */

static uint64_t rows_bytes(const p4_bit_vectors *v) {
  return (uint64_t)v->nibble_count * 16 * v->blocks * BLOCK_WORDS * sizeof(uint64_t);
}

void p4_bit_vectors_free(p4_bit_vectors *v) {
  if (v->rows != NULL) p4_block_free(v->rows, rows_bytes(v));
  free(v->greatest);
  free(v->handles);
  p4_handles_free(&v->positions);
  *v = (p4_bit_vectors){0};
}

/* ---- which nibbles ------------------------------------------------------------------------------------------ */

typedef struct nibble_rank {
  uint32_t matches;          /* of 16 values, summed over the entries: the fewer the more selective */
  uint32_t nibble;
} nibble_rank;

static int by_matches(const void *a, const void *b) {
  const nibble_rank *x = a, *y = b;
  if (x->matches != y->matches) return x->matches < y->matches ? -1 : 1;
  return x->nibble < y->nibble ? -1 : x->nibble > y->nibble;
}

void p4_bit_vectors_count(const p4_table *t, uint32_t *matches, uint32_t handle) {
  const uint32_t words = t->info->key_words;
  const uint64_t *mask = p4_ternary_match(t, handle) + words;
  for (uint32_t i = 0; i < words * 16; i++)
    matches[i] += 16u >> __builtin_popcount((unsigned)(mask[i / 16] >> i % 16 * 4) & 15);
}

static bool choose_nibbles(const p4_table *t, p4_bit_vectors *v, const uint32_t *matches, uint32_t entries) {
  const uint32_t count = t->info->key_words * 16u;
  nibble_rank *ranks = calloc(count, sizeof *ranks);
  if (ranks == NULL) return false;
  for (uint32_t i = 0; i < count; i++) ranks[i] = (nibble_rank){matches[i], i};
  qsort(ranks, count, sizeof *ranks, by_matches);
  const uint64_t useless = (uint64_t)entries * 16;
  double left = P4_BLOCK_ENTRIES;
  v->nibble_count = 0;
  v->first_count = 0;
  for (uint32_t i = 0; i < count && i < P4_NIBBLES; i++) {
    /* At least one: an entry is there where it has bits. */
    if (i != 0 && ranks[i].matches >= useless) break;
    if (left > FEW_LEFT) v->first_count = i + 1;
    left *= (double)ranks[i].matches / (double)useless;
    v->nibbles[v->nibble_count++] = (p4_nibble){(uint16_t)(ranks[i].nibble / 16), (uint8_t)(ranks[i].nibble % 16 * 4)};
  }
  v->first_count = v->first_count <= 4 ? 4 : v->first_count <= 6 ? 6 : 8;
  free(ranks);
  return true;
}

/* ---- entries -------------------------------------------------------------------------------------------------- */

/* Rows lie apart so that the same row of all blocks is read in sequence. */
static uint64_t *row_at(const p4_bit_vectors *v, uint32_t nibble, uint32_t value, uint32_t block) {
  return v->rows + (((uint64_t)nibble * 16 + value) * v->blocks + block) * BLOCK_WORDS;
}

/* Half as much room again: rows are copied, no entry is looked at. */
static bool grow(p4_bit_vectors *v) {
  p4_bit_vectors grown = *v;
  grown.blocks += grown.blocks / 2 + 1;
  uint32_t *greatest = realloc(v->greatest, grown.blocks * sizeof *greatest);
  if (greatest != NULL) v->greatest = greatest;
  uint32_t *handles = realloc(v->handles, (size_t)grown.blocks * P4_BLOCK_ENTRIES * sizeof *handles);
  if (handles != NULL) v->handles = handles;
  grown.rows = p4_block_zeroed(rows_bytes(&grown));
  if (greatest == NULL || handles == NULL || grown.rows == NULL) {
    if (grown.rows != NULL) p4_block_free(grown.rows, rows_bytes(&grown));
    return false;
  }
  grown.greatest = greatest;
  grown.handles = handles;
  memset(greatest + v->blocks, 0, (grown.blocks - v->blocks) * sizeof *greatest);
  for (uint32_t i = 0; i < v->nibble_count; i++)
    for (uint32_t x = 0; x < 16; x++)
      memcpy(row_at(&grown, i, x, 0), row_at(v, i, x, 0), (size_t)v->blocks * BLOCK_WORDS * sizeof *v->rows);
  p4_block_free(v->rows, rows_bytes(v));
  *v = grown;
  return true;
}

bool p4_bit_vectors_insert(const p4_table *t, p4_bit_vectors *v, uint32_t handle) {
  const uint32_t at = p4_handles_take(&v->positions);
  if (at == P4_NONE) return false;
  if (at / P4_BLOCK_ENTRIES >= v->blocks && !grow(v)) {
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
  if (at >= v->end) v->end = at + 1;
  if (t->control->ranks[handle] > v->greatest[block]) v->greatest[block] = t->control->ranks[handle];
  return true;
}

void p4_bit_vectors_delete(p4_bit_vectors *v, uint32_t handle) {
  uint32_t at = 0;
  while (v->handles[at] != handle) at++; /* of the positions before, those that are free say P4_NONE */
  const uint32_t block = at / P4_BLOCK_ENTRIES, word = at % P4_BLOCK_ENTRIES / 64;
  const uint64_t bit = UINT64_C(1) << at % 64;
  for (uint32_t i = 0; i < v->nibble_count; i++)
    for (uint32_t x = 0; x < 16; x++) row_at(v, i, x, block)[word] &= ~bit;
  v->handles[at] = P4_NONE;
  p4_handles_return(&v->positions, at);
}

bool p4_bit_vectors_init(const p4_table *t, p4_bit_vectors *v, const uint32_t *matches, uint32_t count) {
  *v = (p4_bit_vectors){0};
  if (!choose_nibbles(t, v, matches, count)) return false;
  v->blocks = (count + count / 2) / P4_BLOCK_ENTRIES + 1;
  v->rows = p4_block_zeroed(rows_bytes(v));
  v->greatest = calloc(v->blocks, sizeof *v->greatest);
  v->handles = malloc((size_t)v->blocks * P4_BLOCK_ENTRIES * sizeof *v->handles);
  if (v->rows != NULL && v->greatest != NULL && v->handles != NULL) return true;
  p4_bit_vectors_free(v);
  return false;
}

/* ---- search --------------------------------------------------------------------------------------------------- */

/* The best of a block's entries that are left, match, and are better than `best`. */
static uint32_t compare_left(const p4_table *t, const p4_bit_vectors *v, const uint64_t *const *rows, uint32_t block,
                             const uint64_t *left, const uint64_t *key, uint32_t best) {
  for (uint32_t w = 0; w < BLOCK_WORDS; w++) {
    uint64_t bits = left[w];
    const uint32_t at = block * BLOCK_WORDS + w;
    /* A single entry is compared at once. */
    for (uint32_t i = v->first_count; (bits & (bits - 1)) != 0 && i < v->nibble_count; i++) bits &= rows[i][at];
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t handle = v->handles[at * 64 + (uint32_t)__builtin_ctzll(bits)];
      if (p4_ternary_better(t, handle, best) && p4_ternary_matches(t, handle, key, t->info->key_words)) best = handle;
    }
  }
  return best;
}

/* The search with vectors of a type and its size; any(v): whether one is not zero. */
#define DEFINE_SEARCH(name, type, any, target)                                                                     \
  target static uint32_t name(const p4_table *t, const p4_bit_vectors *v, const uint64_t *const *rows,             \
                              const uint64_t *key) {                                                               \
    const uint32_t blocks = (v->end + P4_BLOCK_ENTRIES - 1) / P4_BLOCK_ENTRIES, first = v->first_count;            \
    uint32_t best = P4_NONE, priority = 0;                                                                         \
    for (uint32_t block = 0; block < blocks; block++) {                                                            \
      if (v->greatest[block] < priority) continue;                                                                 \
      type left[BLOCK_WORDS * sizeof(uint64_t) / sizeof(type)], all = {0};                                         \
      for (unsigned i = 0; i < sizeof left / sizeof *left; i++) {                                                  \
        const uint64_t at = (uint64_t)block * BLOCK_WORDS + i * (sizeof(type) / sizeof(uint64_t));                 \
        type part = ROW(0, type) & ROW(1, type) & ROW(2, type) & ROW(3, type);                                     \
        if (first > 4) part &= ROW(4, type) & ROW(5, type);                                                        \
        if (first > 6) part &= ROW(6, type) & ROW(7, type);                                                        \
        left[i] = part;                                                                                            \
        all |= part;                                                                                               \
      }                                                                                                            \
      if (P4_LIKELY(!any(all))) continue;                                                                          \
      best = compare_left(t, v, rows, block, (const uint64_t *)left, key, best);                                   \
      if (best != P4_NONE) priority = t->control->ranks[best];                                                     \
    }                                                                                                              \
    return best;                                                                                                   \
  }
#define ROW(i, type) *(const type *)(rows[i] + at)

typedef long long two __attribute__((vector_size(16), may_alias));
#define ANY_TWO(v) (((v)[0] | (v)[1]) != 0)
DEFINE_SEARCH(search, two, ANY_TWO, )

/* Without flags the compiler may only use what every processor of the kind has. */
#ifdef __x86_64__
typedef long long four __attribute__((vector_size(32), may_alias));
#define ANY_FOUR(v) (!__builtin_ia32_ptestz256(v, v))
DEFINE_SEARCH(search_avx2, four, ANY_FOUR, __attribute__((target("avx2"))))
#endif

uint32_t p4_bit_vectors_search(const p4_table *t, const p4_bit_vectors *v, const uint64_t *key) {
  const uint64_t *rows[P4_NIBBLES];
  for (uint32_t i = 0; i < v->nibble_count; i++) {
    const p4_nibble n = v->nibbles[i];
    rows[i] = row_at(v, i, (uint32_t)(key[n.word] >> n.shift) & 15, 0);
  }
  for (uint32_t i = v->nibble_count; i < v->first_count; i++) rows[i] = rows[0];
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return search_avx2(t, v, rows, key);
#endif
  return search(t, v, rows, key);
}
