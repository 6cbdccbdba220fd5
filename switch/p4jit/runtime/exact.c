/* SPDX-License-Identifier: Apache-2.0
 *
 * Exact tables: open addressing with the entries in the slots, so that a lookup misses the cache once. At
 * most half of the home slots are taken. A table that doubles moves its entries a few thousand slots a call,
 * in order of their hashes, so that no call takes long.
 */
#include "table_private.h"

#define FIRST_HOMES_LOG 2
#define MAX_HOMES_LOG 29     /* where[] has 31 bits for a slot */
#define MOVE_SLOTS 4096      /* per control call */
#define NO_SHIFT 63          /* of no old array: brings every hash below the frontier, UINT64_MAX */

/* Slots behind the last home: entries probe into them, and the very last stays free to end every search.
 * 512 is beyond what a half-full table under a secret seed reaches (probability about 1e-40). */
static uint64_t spare_slots(uint32_t homes_log) {
  uint64_t half = (UINT64_C(1) << homes_log) / 2;
  return (half < 512 ? half : 512) + 1;
}

static uint64_t slot_count(uint32_t shift) { return (UINT64_C(1) << (64 - shift)) + spare_slots(64 - shift); }

static p4_entry *entry_in(const p4_table *t, uint8_t *slot) { return (p4_entry *)(slot + t->info->key_words * 8u); }

static uint64_t hash_of(const p4_table *t, const uint8_t *slot) {
  return p4_key_hash((const uint64_t *)slot, t->info->key_words, t->seed);
}

/* Slots that were never written hold anything: mark those below `end` as free. */
static void make_ready(p4_table *t, uint64_t end) {
  p4_exact *x = &t->exact;
  for (; x->ready < end; x->ready++) entry_in(t, x->slots + x->ready * x->stride)->handle = P4_NONE;
}

bool p4_exact_init(p4_table *t) {
  p4_exact *x = &t->exact;
  const uint64_t bytes = t->info->key_words * 8u + sizeof(p4_entry) + t->info->data_bytes + t->control->extra_bytes;
  *x = (p4_exact){.stride = (uint32_t)((bytes + 63) / 64 * 64), .shift = 64 - FIRST_HOMES_LOG,
                   .old_shift = NO_SHIFT, .frontier = UINT64_MAX};
  x->slots = p4_block_new(slot_count(x->shift) * x->stride);
  if (x->slots == NULL) return false;
  make_ready(t, slot_count(x->shift));
  return true;
}

void p4_exact_free(p4_table *t) {
  p4_exact *x = &t->exact;
  if (x->slots != NULL) p4_block_free(x->slots, slot_count(x->shift) * x->stride);
  if (x->old_slots != NULL) p4_block_free(x->old_slots, slot_count(x->old_shift) * x->stride);
  free(x->where);
  *x = (p4_exact){0};
}

bool p4_exact_reserve(p4_table *t, uint32_t capacity) {
  uint32_t *where = realloc(t->exact.where, capacity * sizeof *where);
  if (where == NULL) return false;
  t->exact.where = where;
  return true;
}

static void remember(p4_table *t, const uint8_t *slots, uint32_t parity, const uint8_t *slot, uint32_t handle) {
  t->exact.where[handle] = (uint32_t)((uint64_t)(slot - slots) / t->exact.stride) << 1 | parity;
}

/* The first free slot from a hash's home in `slots` on; NULL if that is the last slot of all. */
static uint8_t *free_slot(p4_table *t, uint64_t hash) {
  p4_exact *x = &t->exact;
  const uint64_t end = slot_count(x->shift) - 1;
  uint64_t at = hash >> x->shift;
  for (;; at++) {
    make_ready(t, at + 2 <= end + 1 ? at + 2 : end + 1);
    if (at == end) return NULL;
    if (entry_in(t, x->slots + at * x->stride)->handle == P4_NONE) return x->slots + at * x->stride;
  }
}

static void end_move(p4_table *t) {
  p4_exact *x = &t->exact;
  make_ready(t, slot_count(x->shift));
  p4_block_free(x->old_slots, slot_count(x->old_shift) * x->stride);
  x->old_slots = NULL;
  x->old_shift = NO_SHIFT;
  x->frontier = UINT64_MAX;
}

/* Move at least `count` slots, or all that are left. The move stops at a free slot only: entries before it
 * have their homes before it, entries behind it behind it. False when an entry finds no slot. */
static bool move_some(p4_table *t, uint64_t count) {
  p4_exact *x = &t->exact;
  if (x->old_slots == NULL) return true;
  const uint64_t end = slot_count(x->old_shift);
  uint64_t at = x->frontier;
  for (;; at++) {
    uint8_t *from = x->old_slots + at * x->stride;
    const p4_entry *entry = entry_in(t, from);
    if (entry->handle == P4_NONE) {
      if (at + 1 == end || at >= x->frontier + count) break;
      continue;
    }
    uint8_t *to = free_slot(t, hash_of(t, from));
    if (to == NULL) return false;
    memcpy(to, from, x->stride);
    remember(t, x->slots, x->parity, to, entry->handle);
  }
  x->frontier = at + 1;
  uint64_t ready = 2 * x->frontier + 1;
  make_ready(t, ready < slot_count(x->shift) ? ready : slot_count(x->shift));
  if (at + 1 == end) end_move(t);
  return true;
}

static bool start_move(p4_table *t) {
  p4_exact *x = &t->exact;
  const uint32_t shift = x->shift - 1;
  if (64 - shift > MAX_HOMES_LOG) return false;
  uint8_t *slots = p4_block_new(slot_count(shift) * x->stride);
  if (slots == NULL) return false;
  x->old_slots = x->slots;
  x->old_shift = x->shift;
  x->frontier = 0;
  x->slots = slots;
  x->shift = shift;
  x->ready = 0;
  x->parity ^= 1;
  return true;
}

static bool make_room(p4_table *t) {
  p4_exact *x = &t->exact;
  if (!move_some(t, MOVE_SLOTS)) return false;
  if (t->count < UINT64_C(1) << (64 - x->shift) >> 1) return true;
  return move_some(t, UINT64_MAX / 2) && start_move(t) && move_some(t, MOVE_SLOTS);
}

p4_entry *p4_exact_insert(p4_table *t, const uint64_t *key, uint32_t handle) {
  p4_exact *x = &t->exact;
  if (!make_room(t)) return NULL;
  const uint64_t hash = p4_key_hash(key, t->info->key_words, t->seed);
  uint8_t *slots = x->slots, *slot;
  uint32_t parity = x->parity;
  if (hash >> x->old_shift >= x->frontier) {
    slots = x->old_slots;
    parity ^= 1;
    const uint8_t *last = slots + (slot_count(x->old_shift) - 1) * x->stride;
    for (slot = slots + (hash >> x->old_shift) * x->stride; entry_in(t, slot)->handle != P4_NONE;) slot += x->stride;
    if (slot == last) return NULL;
  } else {
    slot = free_slot(t, hash);
    if (slot == NULL) return NULL;
  }
  memcpy(slot, key, t->info->key_words * 8u);
  p4_entry *entry = entry_in(t, slot);
  entry->handle = handle;
  remember(t, slots, parity, slot, handle);
  return entry;
}

static uint8_t *slot_of(const p4_table *t, uint32_t handle) {
  const p4_exact *x = &t->exact;
  uint32_t where = x->where[handle];
  return ((where & 1) == x->parity ? x->slots : x->old_slots) + (uint64_t)(where >> 1) * x->stride;
}

p4_entry *p4_exact_entry(const p4_table *t, uint32_t handle) { return entry_in(t, slot_of(t, handle)); }

void p4_exact_delete(p4_table *t, uint32_t handle) {
  p4_exact *x = &t->exact;
  const bool current = (x->where[handle] & 1) == x->parity;
  uint8_t *slots = current ? x->slots : x->old_slots;
  const uint32_t shift = current ? x->shift : x->old_shift;
  const uint32_t parity = x->where[handle] & 1;
  uint8_t *hole = slot_of(t, handle);
  /* Pull back each entry behind the hole that may lie there, so that no search ends early. */
  for (uint8_t *slot = hole + x->stride;; slot += x->stride) {
    const p4_entry *entry = entry_in(t, slot);
    if (entry->handle == P4_NONE) break;
    if (slots + (hash_of(t, slot) >> shift) * x->stride > hole) continue;
    memcpy(hole, slot, x->stride);
    remember(t, slots, parity, hole, entry->handle);
    hole = slot;
  }
  entry_in(t, hole)->handle = P4_NONE;
  /* Failing leaves the move where it is; the next call tries again. */
  (void)move_some(t, MOVE_SLOTS);
}
