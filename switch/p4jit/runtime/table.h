/* SPDX-License-Identifier: Apache-2.0
 *
 * Match-action tables. Lookups are inline so that a program's constant key sizes unroll; everything else is
 * for the control side. A lookup's p4_entry stays where it is until the next control call on its table.
 *
 * Keys are laid out as core.h says; bits outside fields must be zero.
 */
#ifndef P4JIT_TABLE_H
#define P4JIT_TABLE_H

#include "core.h"
#include "status.h"

/* ---- structures, private to table.c, exact.c, lpm.c, ternary.c and the lookups below ---------------- */

typedef struct p4_table_control p4_table_control; /* table_private.h */

/* Slots of `stride` bytes: the key's words, then the p4_entry; free where the entry's handle is P4_NONE.
 * Linear probing without wrap-around: spare slots follow the last. The home slot is the hash's top bits, so
 * that a table keeps its order as it doubles: while it does, keys whose home in the old array is before
 * `frontier` have moved, and the others are still there. */
typedef struct p4_exact {
  uint8_t *slots;
  uint32_t stride;
  uint32_t shift;            /* 64 - log2 of the number of home slots */
  uint64_t frontier;         /* UINT64_MAX: no move under way */
  uint8_t *old_slots;
  uint32_t old_shift;
  uint64_t ready;            /* slots initialised so far */
  uint32_t *where;           /* by handle: slot << 1 | parity of the array it is in */
  uint32_t parity;           /* of slots; old_slots has the other */
} p4_exact;

/* A trie node branches on one byte of the field, after `skip` bytes that must equal `skipped`. Its 256 slots
 * are kept as runs of equal ones. A slot is (child << 32 | leaf). The leaf is the handle + 1 of the longest
 * prefix that ends in this node, 0 for none. The child is a node's line in the arena, or P4_LPM_ALONE and the
 * handle of the only prefix there is below, which is compared as a whole; 0 for none. */
#define P4_LPM_ALONE 0x80000000u

typedef struct p4_lpm_node {
  uint64_t starts[4];        /* bit b: a run starts at byte b; slots before the first run are 0 */
  uint64_t skipped;          /* left-aligned */
  uint8_t ranks[4];          /* runs that start in the words before */
  uint8_t skip;              /* bytes, 0..8 */
  uint8_t lines;             /* size of its block in the arena */
  uint16_t runs;
  uint64_t slots[];
} p4_lpm_node;

/* The prefixes below one combination of the exact words. */
typedef struct p4_lpm_group {
  uint64_t *direct;          /* 65,536 slots for the first two bytes once there are many prefixes */
  uint32_t root;             /* else the node of the first byte; 0 when empty */
  uint32_t count;            /* prefixes; 0: this place is free */
} p4_lpm_group;

typedef struct p4_lpm {
  uint8_t *arena;            /* nodes, in lines of 64 bytes; line 0 is not used */
  uint8_t *groups;           /* exact words, p4_lpm_group; one when there are none. Hashed, and doubled, like */
  uint8_t *old_groups;       /* p4_exact's slots, but with wholly initialised ones */
  uint64_t group_frontier;
  uint32_t group_shift;
  uint32_t old_group_shift;
  uint32_t group_count;
  uint32_t lines, used;      /* of the arena */
  uint32_t free_blocks[34];  /* first free block of so many lines */
  uint32_t prefix_offset;    /* in an entry's bytes: the prefix's length, and its words of the field */
} p4_lpm;

typedef struct p4_ternary p4_ternary; /* ternary.c */

struct p4_table {
  p4_entry *default_entry;
  p4_exact exact;
  p4_lpm lpm;
  p4_ternary *ternary;
  uint8_t *entries;          /* by handle, for all kinds but exact */
  uint64_t entry_stride;
  uint64_t seed[2];
  const p4_table_info *info;
  p4_profile *profile;
  p4_table_control *control;
  uint32_t count;
};

/* ---- hashing --------------------------------------------------------------------------------------- */

/* Multiply and fold, as wyhash does (Wang Yi): the product's halves XORed. */
P4_INLINE uint64_t p4_fold(uint64_t a, uint64_t b) {
  p4_u128 product = (p4_u128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The seeds are secret and random, so that no sender can choose keys that collide. */
P4_INLINE uint64_t p4_key_hash(const uint64_t *key, const unsigned words, const uint64_t seed[2]) {
  uint64_t h = seed[0];
  unsigned i = 0;
  for (; i + 1 < words; i += 2) h = p4_fold(key[i] ^ seed[1], key[i + 1] ^ h) + seed[0];
  if (i < words) h = p4_fold(key[i] ^ h, seed[1]);
  return words > 1 ? p4_fold(h, seed[1]) : h;
}

P4_INLINE bool p4_same_key(const uint64_t *a, const uint64_t *b, const unsigned words) {
  uint64_t difference = 0;
  for (unsigned i = 0; i < words; i++) difference |= a[i] ^ b[i];
  return difference == 0;
}

P4_INLINE unsigned p4_count_bits(uint64_t v) {
#ifdef __POPCNT__
  return (unsigned)__builtin_popcountll(v);
#else
  /* Without the instruction GCC calls a function; this is quicker. */
  v -= v >> 1 & UINT64_C(0x5555555555555555);
  v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
  v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (unsigned)(v * UINT64_C(0x0101010101010101) >> 56);
#endif
}

/* ---- lookups: the entry that matches, or NULL ------------------------------------------------------- */

P4_INLINE uint8_t *p4_exact_home(const p4_exact *x, uint64_t hash) {
  if (P4_UNLIKELY(hash >> x->old_shift >= x->frontier)) return x->old_slots + (hash >> x->old_shift) * x->stride;
  return x->slots + (hash >> x->shift) * x->stride;
}

P4_INLINE void p4_exact_prefetch(const p4_table *t, const uint64_t *key, const unsigned words) {
  __builtin_prefetch(p4_exact_home(&t->exact, p4_key_hash(key, words, t->seed)), 1);
}

P4_INLINE p4_entry *p4_exact_find(p4_table *t, const uint64_t *key, const unsigned words) {
  const p4_exact *x = &t->exact;
  uint8_t *slot = p4_exact_home(x, p4_key_hash(key, words, t->seed));
  for (;; slot += x->stride) {
    p4_entry *entry = (p4_entry *)(slot + words * 8);
    if (entry->handle == P4_NONE) return NULL;
    if (p4_same_key((const uint64_t *)slot, key, words)) return entry;
  }
}

/* The eight bytes of a left-aligned field from byte `at` on, zero-filled. */
P4_INLINE uint64_t p4_lpm_window(const uint64_t *field, const unsigned words, unsigned at) {
  unsigned word = at / 8, shift = at % 8 * 8;
  uint64_t window = field[word] << shift;
  if (words > 1 && shift != 0 && word < words - 1) window |= field[word + 1] >> (64 - shift);
  return window;
}

P4_INLINE const p4_lpm_group *p4_lpm_group_find(const p4_table *t, const uint64_t *key, const unsigned words) {
  const p4_lpm *l = &t->lpm;
  if (words == 0) return (const p4_lpm_group *)l->groups;
  const uint64_t stride = words * 8 + sizeof(p4_lpm_group), hash = p4_key_hash(key, words, t->seed);
  const uint8_t *slot = l->groups + (hash >> l->group_shift) * stride;
  if (P4_UNLIKELY(hash >> l->old_group_shift >= l->group_frontier))
    slot = l->old_groups + (hash >> l->old_group_shift) * stride;
  for (;; slot += stride) {
    const p4_lpm_group *group = (const p4_lpm_group *)(slot + words * 8);
    if (group->count == 0 || p4_same_key((const uint64_t *)slot, key, words)) return group;
  }
}

/* Whether a field begins with the prefix of an entry, which is not the empty one. */
P4_INLINE bool p4_lpm_begins(const uint64_t *field, const unsigned words, const uint64_t *prefix) {
  const uint64_t length = prefix[0];
  uint64_t difference = 0;
  if (words == 1) return (field[0] ^ prefix[1]) >> (64 - length) == 0;
  for (unsigned w = 0; w < words && w * 64 < length; w++) {
    const uint64_t left = length - w * 64;
    difference |= (field[w] ^ prefix[1 + w]) >> (left < 64 ? 64 - left : 0);
  }
  return difference == 0;
}

/* The slot a lookup starts from; `at`: the byte of the field it goes on with. */
P4_INLINE uint64_t p4_lpm_first(const p4_lpm_group *group, const uint64_t *field, unsigned *at) {
  *at = group->direct != NULL ? 2 : 0;
  return group->direct != NULL ? group->direct[field[0] >> 48] : (uint64_t)group->root << 32;
}

P4_INLINE const p4_lpm_node *p4_lpm_node_at(const p4_table *t, uint32_t line) {
  return (const p4_lpm_node *)(t->lpm.arena + (uint64_t)line * 64);
}

/* The slot of the field's byte in a node, and on to the next byte; 0 where the field lacks the bytes skipped. */
P4_INLINE uint64_t p4_lpm_step(const p4_lpm_node *node, const uint64_t *field, const unsigned words, unsigned *at) {
  if (node->skip != 0) {
    if ((p4_lpm_window(field, words, *at) ^ node->skipped) >> (64 - 8 * node->skip) != 0) return 0;
    *at += node->skip;
  }
  const unsigned byte = (unsigned)(field[*at / 8] >> (56 - *at % 8 * 8)) & 0xff;
  const uint64_t before = node->starts[byte / 64] & ((UINT64_C(2) << byte % 64) - 1);
  const unsigned run = node->ranks[byte / 64] + p4_count_bits(before);
  ++*at;
  return run != 0 ? node->slots[run - 1] : 0;
}

P4_INLINE p4_entry *p4_lpm_find(p4_table *t, const uint64_t *key, const unsigned words) {
  /* The field has at least a word: with one in all, the compiler knows that there is no group to look for. */
  const unsigned exact_words = words == 1 ? 0 : t->info->lpm_word;
  if (exact_words >= words) __builtin_unreachable();
  const uint64_t *field = key + exact_words;
  const unsigned field_words = words - exact_words;
  unsigned at;
  uint64_t slot = p4_lpm_first(p4_lpm_group_find(t, key, exact_words), field, &at);
  uint32_t best = 0;
  for (;;) {
    const uint32_t child = (uint32_t)(slot >> 32);
    best = (uint32_t)slot != 0 ? (uint32_t)slot : best;
    if (child == 0) break;
    if (child >= P4_LPM_ALONE) {
      uint8_t *entry = t->entries + (child - P4_LPM_ALONE) * t->entry_stride;
      if (p4_lpm_begins(field, field_words, (const uint64_t *)(entry + t->lpm.prefix_offset))) return (p4_entry *)entry;
      break;
    }
    const p4_lpm_node *node = p4_lpm_node_at(t, child);
    /* Most nodes have two lines or less: fetch the second while the first is on its way. */
    __builtin_prefetch((const uint8_t *)node + 64);
    slot = p4_lpm_step(node, field, field_words, &at);
  }
  return best != 0 ? (p4_entry *)(t->entries + (best - 1) * t->entry_stride) : NULL;
}

/* A lookup on its way down. */
typedef struct p4_lpm_lane {
  const uint64_t *field;
  uint32_t child;
  uint32_t best;
  unsigned at;
} p4_lpm_lane;

P4_INLINE void p4_lpm_enter(p4_lpm_lane *lane, uint64_t slot) {
  lane->child = (uint32_t)(slot >> 32);
  lane->best = (uint32_t)slot != 0 ? (uint32_t)slot : lane->best;
}

/* Bring what lookups of at most P4_ACCEPTED keys will read into the cache. They go down together, level by
 * level, so that no lookup waits for the memory of another. */
P4_INLINE void p4_lpm_prefetch(const p4_table *t, const uint64_t *keys, const unsigned words, const unsigned count) {
  p4_lpm_lane lanes[P4_ACCEPTED];
  const p4_lpm_group *groups[P4_ACCEPTED];
  const unsigned exact_words = words == 1 ? 0 : t->info->lpm_word, field_words = words - exact_words;
  if (exact_words >= words) __builtin_unreachable();
  for (unsigned i = 0; i < count; i++) {
    const uint64_t *key = keys + i * words;
    groups[i] = p4_lpm_group_find(t, key, exact_words);
    if (groups[i]->direct != NULL) __builtin_prefetch(&groups[i]->direct[key[exact_words] >> 48]);
  }
  for (unsigned i = 0; i < count; i++) {
    lanes[i] = (p4_lpm_lane){.field = keys + i * words + exact_words};
    p4_lpm_enter(&lanes[i], p4_lpm_first(groups[i], lanes[i].field, &lanes[i].at));
  }
  for (unsigned left = count; left != 0;) {
    unsigned inside = 0;
    for (unsigned i = 0; i < left; i++) {
      const uint32_t child = lanes[i].child;
      if (child != 0 && child < P4_LPM_ALONE) {
        const uint8_t *node = (const uint8_t *)p4_lpm_node_at(t, child);
        for (unsigned line = 0; line < 3; line++) __builtin_prefetch(node + line * 64);
        lanes[inside++] = lanes[i];
      } else {
        const uint32_t handle = child != 0 ? child - P4_LPM_ALONE : lanes[i].best - 1;
        if (handle != P4_NONE) __builtin_prefetch(t->entries + handle * t->entry_stride, 1);
      }
    }
    left = inside;
    for (unsigned i = 0; i < left; i++) {
      const p4_lpm_node *node = p4_lpm_node_at(t, lanes[i].child);
      p4_lpm_enter(&lanes[i], p4_lpm_step(node, lanes[i].field, field_words, &lanes[i].at));
    }
  }
}

/* Ternary and range tables. */
p4_entry *p4_ternary_search(p4_table *t, const uint64_t *key, unsigned words);

P4_INLINE p4_entry *p4_ternary_find(p4_table *t, const uint64_t *key, const unsigned words) {
  if (t->count == 0) return NULL;
  return p4_ternary_search(t, key, words);
}

/* ---- control. All return 0 or an enum p4_status --------------------------------------------------------- */

/* An empty table whose default entry has action and handle P4_NONE. `info` and `profile` (NULL for a plain
 * table) must outlive it. Every entry, the default one too, has `extra_bytes` (a multiple of 8) behind its
 * data, zero at first. `seed` should be random. P4_INVALID for an info that contradicts itself. */
int p4_table_init(p4_table *t, const p4_table_info *info, p4_profile *profile, uint32_t extra_bytes, uint64_t seed);
void p4_table_free(p4_table *t);
/* Remove all entries; the default one stays. P4_NO_MEMORY: nothing was removed. */
int p4_table_clear(p4_table *t);

/* Add an entry. `mask`: ternary and range tables only, NULL for the others; of range fields it is the high
 * bound, the key the low one, both inclusive. `prefix_length` (bits) counts in LPM tables only and `priority`
 * in ternary and range tables only: the greatest wins, among equals the lowest handle. `data_length` bytes of
 * action data, at most info->data_bytes, are copied; the rest is zero. For P4_ACTION_MEMBER and
 * P4_ACTION_GROUP they are the 4-byte handle. `timeout` is in ns, 0 for none.
 * P4_EXISTS: the same key (and prefix, or mask and priority); P4_FULL; P4_INVALID: key bits outside of mask
 * or prefix, low > high, data that is too long; P4_NOT_FOUND: no such member or group. */
int p4_table_insert(p4_table *t, const uint64_t *key, const uint64_t *mask, uint32_t prefix_length, uint32_t priority,
                    uint32_t action, const void *data, uint32_t data_length, uint64_t timeout, uint64_t now,
                    uint32_t *handle);
/* Counters, meter and the time of the last hit stay; a timeout counts from now on. */
int p4_table_modify(p4_table *t, uint32_t handle, uint32_t action, const void *data, uint32_t data_length,
                    uint64_t timeout, uint64_t now);
int p4_table_delete(p4_table *t, uint32_t handle);
/* The entry, until the next control call; NULL if there is none. */
p4_entry *p4_table_entry(p4_table *t, uint32_t handle);
/* Replace the default entry's action; its counter and meter stay. P4_NONE without data: as after init. */
int p4_table_set_default(p4_table *t, uint32_t action, const void *data, uint32_t data_length);
uint32_t p4_table_count(const p4_table *t);

/* The handles of at most `max` entries that have been idle for their timeout; each once until it is hit
 * again. Returns their number. Looks at a bounded number of entries: call again when p4_table_next_expiry is
 * not later than now. */
uint32_t p4_table_expired(p4_table *t, uint64_t now, uint32_t *handles, uint32_t max);
/* When to call p4_table_expired next; P4_NEVER if no entry has a timeout. */
uint64_t p4_table_next_expiry(const p4_table *t, uint64_t now);

#endif
