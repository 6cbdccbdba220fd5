/* SPDX-License-Identifier: Apache-2.0
 *
 * Lookups in full tables beside nearly empty ones, and insertion. Prints a line a case:
 *   name, entries, ns a lookup, ns a lookup that waits for the one before, insertions a second, longest
 *   insertion in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "table.h"

#define KEYS (1u << 20)      /* looked up in turn; read in order, so that they are no cost */
#define WORDS 4

typedef struct match {
  uint64_t key[WORDS];
  uint64_t mask[WORDS];
  uint32_t length;
  uint32_t priority;
} match;

typedef struct scenario {
  const char *name;
  p4_table_info info;
  uint32_t few, many;
  /* The i-th entry's match; the same seed gives the same one. */
  void (*make)(uint64_t *random, uint32_t i, match *m);
} scenario;

static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* Nanoseconds of this thread: others may run on this core too. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t top(uint32_t bits) { return bits == 0 ? 0 : UINT64_MAX << (64 - bits); }

/* ---- what is in the tables ------------------------------------------------------------------------------- */

static void mac(uint64_t *random, uint32_t i, match *m) {
  (void)i;
  m->key[0] = next(random) >> 16;
}

static void sequential(uint64_t *random, uint32_t i, match *m) {
  (void)random;
  m->key[0] = UINT64_C(0x020000000000) + i;
}

static void flow(uint64_t *random, uint32_t i, match *m) {
  (void)i;
  m->key[0] = next(random);
  m->key[1] = next(random) & UINT64_C(0xffffffffff);
}

static void two_ipv6(uint64_t *random, uint32_t i, match *m) {
  (void)i;
  for (int k = 0; k < 4; k++) m->key[k] = next(random);
}

/* Shares of prefix lengths in per mille, near those of the global IPv4 table. */
static uint32_t ipv4_length(uint64_t *random) {
  static const struct { uint32_t length, share; } SHARES[] = {
    {24, 580}, {23, 95}, {22, 115}, {21, 50}, {20, 50}, {19, 30}, {18, 15}, {17, 10}, {16, 14}, {15, 3}, {14, 2},
    {13, 1}, {12, 1}, {11, 1}, {10, 1}, {9, 1}, {8, 1}, {32, 20}, {28, 5}, {25, 5}};
  uint32_t draw = (uint32_t)(next(random) % 1000), i = 0;
  while (i + 1 < sizeof SHARES / sizeof *SHARES && draw >= SHARES[i].share) draw -= SHARES[i++].share;
  return SHARES[i].length;
}

static void ipv4(uint64_t *random, uint32_t i, match *m) {
  (void)i;
  m->length = ipv4_length(random);
  /* Unicast space only, 1.0.0.0 to 223.255.255.255. */
  uint64_t address = (1 + next(random) % 223) << 56 | (next(random) >> 40) << 32;
  m->key[0] = address & top(m->length);
}

/* Allocations of /29 to /32 with more specifics inside, as in the global IPv6 table. */
static void ipv6(uint64_t *random, uint32_t i, match *m) {
  static const uint32_t LENGTHS[] = {48, 48, 48, 48, 48, 32, 32, 44, 40, 36, 64, 29, 33, 46, 47, 128};
  (void)i;
  m->length = LENGTHS[next(random) % 16];
  const uint64_t blocks[] = {0x2001, 0x2400, 0x2600, 0x2620, 0x2800, 0x2a00, 0x2a03, 0x2c0f};
  uint64_t site = next(random) % 30000 * 0x9e37 % 0x10000000;
  uint64_t high = blocks[site % 8] << 48 | (site >> 3 & 0xffff) << 32 | next(random) >> 32;
  uint64_t low = next(random);
  m->key[0] = m->length >= 64 ? high : high & top(m->length);
  m->key[1] = m->length <= 64 ? 0 : low & top(m->length - 64);
}

/* A routing table in each of 64 VRFs. */
static void vrf(uint64_t *random, uint32_t i, match *m) {
  match inner = {0};
  ipv4(random, i, &inner);
  *m = inner;
  m->key[1] = inner.key[0];
  m->key[0] = next(random) % 64;
}

/* Source and destination address, protocol, destination port: 104 bits in two words. */
static void acl(uint64_t *random, uint32_t i, match *m) {
  static const uint32_t LENGTHS[] = {0, 16, 24, 32};
  const uint64_t kind = next(random) % 32;
  (void)i;
  uint64_t source = LENGTHS[kind % 4] == 0 ? 0 : 0xffffffffu << (32 - LENGTHS[kind % 4]) & 0xffffffffu;
  uint64_t destination = kind / 4 % 4 == 0 ? 0xffffff00u : 0xffffffffu << (32 - LENGTHS[kind / 4 % 4]) & 0xffffffffu;
  uint64_t service = kind / 16 != 0 ? UINT64_C(0xffffff) : UINT64_C(0xff0000);
  m->mask[0] = source << 32 | destination;
  m->mask[1] = service;
  m->key[0] = next(random) & m->mask[0];
  m->key[1] = ((next(random) % 2 ? 6u : 17u) << 16 | next(random) % 1024) & m->mask[1];
  m->priority = (uint32_t)(next(random) % 10000);
}

static void distinct(uint64_t *random, uint32_t i, match *m) {
  (void)i;
  for (int k = 0; k < 2; k++) {
    m->mask[k] = next(random) & (k == 0 ? UINT64_MAX : UINT64_C(0xffffffffff));
    m->key[k] = next(random) & m->mask[k];
  }
  m->priority = (uint32_t)(next(random) % 10000);
}

/* As acl, with a range of ports instead. */
static void ports(uint64_t *random, uint32_t i, match *m) {
  acl(random, i, m);
  m->mask[1] &= ~UINT64_C(0xffff);
  m->key[1] &= m->mask[1];
  uint64_t low = next(random) % 65536, high = low + next(random) % 1024;
  m->key[1] |= low;
  m->mask[1] |= high > 65535 ? 65535 : high;
}

static const p4_range_field PORTS[] = {{.word = 1, .shift = 0, .width = 16}};

static const scenario SCENARIOS[] = {
  {"exact, 1 word", {.kind = P4_EXACT, .key_words = 1}, 10, 1000000, mac},
  {"exact, 1 word, sequential", {.kind = P4_EXACT, .key_words = 1}, 10, 1000000, sequential},
  {"exact, 2 words", {.kind = P4_EXACT, .key_words = 2}, 10, 1000000, flow},
  {"exact, 4 words", {.kind = P4_EXACT, .key_words = 4}, 10, 1000000, two_ipv6},
  {"LPM, IPv4", {.kind = P4_LPM, .key_words = 1, .lpm_width = 32}, 10, 500000, ipv4},
  {"LPM, IPv6", {.kind = P4_LPM, .key_words = 2, .lpm_width = 128}, 10, 500000, ipv6},
  {"LPM, 64 VRFs, IPv4", {.kind = P4_LPM, .key_words = 2, .lpm_word = 1, .lpm_width = 32}, 10, 500000, vrf},
  {"ternary, 32 masks", {.kind = P4_TERNARY, .key_words = 2}, 10, 10000, acl},
  {"ternary, distinct masks", {.kind = P4_TERNARY, .key_words = 2}, 10, 10000, distinct},
  {"range, 32 masks", {.kind = P4_RANGE, .key_words = 2, .ranges = PORTS, .range_count = 1}, 10, 10000, ports},
};

/* ---- measuring ------------------------------------------------------------------------------------------- */

/* Two functions a kind and size, so that the lookup is compiled as in a generated program. In the second each
 * key waits for the entry found before: action data is 0, which the processor cannot know. */
#define LOOKUPS(name, find, words)                                                                    \
  static __attribute__((noinline)) uint64_t name##_apart(p4_table *t, const uint64_t *keys) {         \
    uint64_t sum = 0;                                                                                 \
    for (uint32_t i = 0; i < KEYS; i++) {                                                             \
      const p4_entry *e = find(t, keys + (uint64_t)i * words, words);                                 \
      sum += e != NULL ? e->data[0] : 0;                                                              \
    }                                                                                                 \
    return sum;                                                                                       \
  }                                                                                                   \
  static __attribute__((noinline)) uint64_t name##_chained(p4_table *t, const uint64_t *keys) {       \
    uint64_t sum = 0;                                                                                 \
    for (uint32_t i = 0; i < KEYS; i++) {                                                             \
      uint64_t key[words];                                                                            \
      memcpy(key, keys + (uint64_t)i * words, sizeof key);                                            \
      for (unsigned w = 0; w < words; w++) key[w] ^= sum;                                             \
      const p4_entry *e = find(t, key, words);                                                        \
      sum += e != NULL ? e->data[0] : 0;                                                              \
    }                                                                                                 \
    return sum;                                                                                       \
  }

LOOKUPS(exact1, p4_exact_find, 1)
LOOKUPS(exact2, p4_exact_find, 2)
LOOKUPS(exact4, p4_exact_find, 4)
LOOKUPS(lpm1, p4_lpm_find, 1)
LOOKUPS(lpm2, p4_lpm_find, 2)
LOOKUPS(ternary2, p4_ternary_find, 2)

typedef uint64_t (*lookups)(p4_table *t, const uint64_t *keys);

static lookups lookups_of(const p4_table_info *info, bool chained) {
#define CHOOSE(name) return chained ? name##_chained : name##_apart
  switch (info->kind) {
    case P4_EXACT:
      if (info->key_words == 1) CHOOSE(exact1);
      if (info->key_words == 2) CHOOSE(exact2);
      CHOOSE(exact4);
    case P4_LPM:
      if (info->key_words == 1) CHOOSE(lpm1);
      CHOOSE(lpm2);
    default: CHOOSE(ternary2);
  }
}

static double measure(p4_table *t, const uint64_t *keys, bool chained) {
  const lookups run = lookups_of(t->info, chained);
  double best = 1e18;
  volatile uint64_t sink;
  for (int round = 0; round < 5; round++) {
    double start = now();
    sink = run(t, keys);
    double each = (now() - start) / KEYS;
    best = each < best ? each : best;
  }
  (void)sink;
  return best;
}

/* The entries' matches are made beforehand. `longest` NULL: time the whole instead of each. */
static int insert_all(p4_table *t, const match *matches, uint32_t count, double *longest) {
  const uint32_t data[2] = {0};
  const bool masked = t->info->kind == P4_TERNARY || t->info->kind == P4_RANGE;
  uint32_t handle;
  for (uint32_t i = 0; i < count; i++) {
    const match *m = &matches[i];
    const double start = longest != NULL ? now() : 0;
    const int status = p4_table_insert(t, m->key, masked ? m->mask : NULL, m->length, m->priority, 1, data,
                                       sizeof data, 0, 0, &handle);
    if (longest != NULL && now() - start > *longest) *longest = now() - start;
    if (status != P4_OK && status != P4_EXISTS) return -1;
  }
  return 0;
}

static int fill(const scenario *s, p4_table *t, const p4_table_info *info, uint32_t count, uint64_t *keys,
                double *rate, double *longest) {
  match *matches = calloc(count, sizeof *matches);
  if (matches == NULL) return -1;
  uint64_t random = 7;
  for (uint32_t i = 0; i < count; i++) s->make(&random, i, &matches[i]);
  *longest = 0;
  if (p4_table_init(t, info, NULL, 0, 42) != P4_OK || insert_all(t, matches, count, longest) != 0) return -1;
  p4_table_free(t);
  if (p4_table_init(t, info, NULL, 0, 42) != P4_OK) return -1;
  const double start = now();
  if (insert_all(t, matches, count, NULL) != 0) return -1;
  *rate = count / (now() - start) * 1e9;
  /* Keys that the entries match: their own, with what the mask or prefix leaves open at random. */
  const uint32_t words = info->key_words;
  for (uint32_t i = 0; i < KEYS; i++) {
    const match *m = &matches[next(&random) % count];
    for (uint32_t w = 0; w < words; w++) {
      uint64_t open = 0;
      if (info->kind == P4_TERNARY) open = ~m->mask[w] & (w == 0 ? UINT64_MAX : UINT64_C(0xffffffffff));
      if (info->kind == P4_LPM && w >= info->lpm_word) {
        const uint32_t before = (w - info->lpm_word) * 64;
        open = m->length <= before ? UINT64_MAX : m->length - before >= 64 ? 0 : UINT64_MAX >> (m->length - before);
        if (info->lpm_width < before + 64) open &= top(info->lpm_width - before);
      }
      keys[(uint64_t)i * words + w] = m->key[w] | (next(&random) & open);
    }
  }
  free(matches);
  return 0;
}

int main(int argc, char **argv) {
  uint64_t *keys = aligned_alloc(64, (uint64_t)KEYS * WORDS * sizeof *keys);
  if (keys == NULL) return 1;
  for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++) {
    const scenario *s = &SCENARIOS[i];
    if (argc > 1 && strstr(s->name, argv[1]) == NULL) continue;
    const uint32_t sizes[] = {s->few, s->many};
    for (int k = 0; k < 2; k++) {
      p4_table_info info = s->info;
      info.max_size = sizes[k];
      info.data_bytes = 8;
      p4_table t;
      double rate, longest;
      if (fill(s, &t, &info, sizes[k], keys, &rate, &longest) != 0) return 1;
      const double apart = measure(&t, keys, false), chained = measure(&t, keys, true);
      printf("%s\t%u\t%.2f\t%.2f\t%.0f\t%.1f\n", s->name, p4_table_count(&t), apart, chained, rate, longest / 1e3);
      fflush(stdout);
      p4_table_free(&t);
    }
  }
  free(keys);
  return 0;
}
