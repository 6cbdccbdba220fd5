/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables, apart from how each kind finds its entries: handles, actions, references to action profiles, the
 * index of LPM and ternary entries by their whole match.
 */
#include "table_private.h"

#include "profile.h"

#define MAX_ENTRY_BYTES (1u << 20) /* action data and meter */
#define MAX_KEY_WORDS 512u         /* 32,768 bits: records are copied on the stack */
#define MAX_CHECKS 4096u           /* entries that one p4_table_expired looks at */

static bool has_mask(const p4_table *t) { return t->info->kind == P4_TERNARY || t->info->kind == P4_RANGE; }

/* ---- the index of records ---------------------------------------------------------------------------- */

static uint32_t record_hash(const p4_table *t, const uint64_t *record, uint32_t rank) {
  return (uint32_t)(p4_fold(p4_key_hash(record, t->control->record_words, t->seed) ^ rank, t->seed[1]) >> 32);
}

uint32_t p4_table_locate(const p4_table *t, const uint64_t *record, uint32_t rank) {
  const p4_table_control *c = t->control;
  if (c->index.now.slots == NULL) return P4_NONE;
  const uint32_t hash = record_hash(t, record, rank);
  for (const uint64_t *at = p4_match_index_home(&c->index, hash);;) {
    const uint32_t handle = p4_match_index_next(&at, hash);
    if (handle == P4_NONE) return P4_NONE;
    if (c->ranks[handle] == rank && p4_same_key(p4_table_record(t, handle), record, c->record_words)) return handle;
  }
}

/* ---- life -------------------------------------------------------------------------------------------- */

static bool valid_ranges(const p4_table_info *info) {
  for (uint32_t i = 0; i < info->range_count; i++) {
    const p4_range_field *r = &info->ranges[i];
    if (r->width == 0 || (r->width <= 64 ? r->shift + r->width > 64 : r->shift != 0)) return false;
    if (r->word + ((uint64_t)r->width + 63) / 64 > info->key_words) return false;
  }
  return true;
}

static bool valid_info(const p4_table_info *info, const p4_profile *profile, uint32_t extra_bytes) {
  if (info->key_words > MAX_KEY_WORDS) return false;
  if (info->kind > P4_KEYLESS || info->data_bytes % 8 != 0 || extra_bytes % 8 != 0) return false;
  if ((uint64_t)info->data_bytes + extra_bytes > MAX_ENTRY_BYTES) return false;
  if (profile != NULL && info->data_bytes < sizeof(uint32_t)) return false;
  if (info->kind == P4_LPM)
    return info->lpm_width != 0 && info->lpm_word + ((uint64_t)info->lpm_width + 63) / 64 == info->key_words;
  if (info->kind == P4_TERNARY || info->kind == P4_RANGE) return info->key_words != 0 && valid_ranges(info);
  return true;
}

static uint64_t scramble(uint64_t v) { return p4_fold(v ^ UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xd6e8feb86659fd93)); }

static bool init_kind(p4_table *t) {
  switch (t->info->kind) {
    case P4_EXACT: return p4_exact_init(t);
    case P4_LPM: return p4_lpm_init(t);
    case P4_KEYLESS: return true;
    default: return p4_ternary_init(t);
  }
}

static void free_kind(p4_table *t) {
  switch (t->info->kind) {
    case P4_EXACT: p4_exact_free(t); break;
    case P4_LPM: p4_lpm_free(t); break;
    case P4_KEYLESS: break;
    default: p4_ternary_free(t); break;
  }
}

static void reset_default(p4_table *t) {
  p4_entry *e = t->default_entry;
  e->action = P4_NONE;
  memset(e->data, 0, t->info->data_bytes);
}

int p4_table_init(p4_table *t, const p4_table_info *info, p4_profile *profile, uint32_t extra_bytes, uint64_t seed) {
  *t = (p4_table){0};
  if (!valid_info(info, profile, extra_bytes)) return P4_INVALID;
  uint64_t entry_bytes = sizeof(p4_entry) + info->data_bytes + extra_bytes;
  /* LPM entries carry their prefix (lpm.c). */
  if (info->kind == P4_LPM) entry_bytes += (1u + info->key_words - info->lpm_word) * sizeof(uint64_t);
  entry_bytes = (entry_bytes + 63) / 64 * 64;
  t->info = info;
  t->profile = profile;
  t->entry_stride = entry_bytes;
  t->seed[0] = scramble(seed);
  t->seed[1] = scramble(t->seed[0]) | 1;
  t->control = calloc(1, sizeof *t->control);
  t->default_entry = aligned_alloc(64, entry_bytes);
  if (t->control != NULL) {
    t->control->extra_bytes = extra_bytes;
    t->control->record_words = has_mask(t) ? info->key_words * 2u : info->key_words;
  }
  if (t->control == NULL || t->default_entry == NULL || !init_kind(t)) {
    free(t->control);
    free(t->default_entry);
    *t = (p4_table){0};
    return P4_NO_MEMORY;
  }
  memset(t->default_entry, 0, entry_bytes);
  t->default_entry->handle = P4_NONE;
  reset_default(t);
  return P4_OK;
}

/* ---- actions --------------------------------------------------------------------------------------------- */

static bool refers(const p4_table *t, uint32_t action, const uint8_t *data, uint32_t *handle) {
  if (t->profile == NULL || (action != P4_ACTION_MEMBER && action != P4_ACTION_GROUP)) return false;
  memcpy(handle, data, sizeof *handle);
  return true;
}

static int check_action(const p4_table *t, uint32_t action, uint32_t data_length) {
  const bool reference = action == P4_ACTION_MEMBER || action == P4_ACTION_GROUP;
  if (reference && (t->profile == NULL || data_length != sizeof(uint32_t))) return P4_INVALID;
  return data_length <= t->info->data_bytes ? P4_OK : P4_INVALID;
}

static int reference(p4_table *t, uint32_t action, const void *data) {
  uint32_t handle;
  return refers(t, action, data, &handle) ? p4_profile_reference(t->profile, action, handle) : P4_OK;
}

static void unreference(p4_table *t, const p4_entry *e) {
  uint32_t handle;
  if (refers(t, e->action, e->data, &handle)) p4_profile_unreference(t->profile, e->action, handle);
}

static void set_action(p4_table *t, p4_entry *e, uint32_t action, const void *data, uint32_t data_length) {
  e->action = action;
  if (data_length != 0) memcpy(e->data, data, data_length);
  memset(e->data + data_length, 0, t->info->data_bytes - data_length);
}

int p4_table_set_default(p4_table *t, uint32_t action, const void *data, uint32_t data_length) {
  if (action == P4_NONE && data_length == 0) {
    unreference(t, t->default_entry);
    reset_default(t);
    return P4_OK;
  }
  int status = check_action(t, action, data_length);
  if (status == P4_OK) status = reference(t, action, data);
  if (status != P4_OK) return status;
  unreference(t, t->default_entry);
  set_action(t, t->default_entry, action, data, data_length);
  return P4_OK;
}

/* ---- entries --------------------------------------------------------------------------------------------- */

uint32_t p4_table_count(const p4_table *t) { return t->count; }

p4_entry *p4_table_entry(p4_table *t, uint32_t handle) {
  if (!p4_handles_taken(&t->control->handles, handle)) return NULL;
  return t->info->kind == P4_EXACT ? p4_exact_entry(t, handle) : (p4_entry *)(t->entries + handle * t->entry_stride);
}

static void free_entries(p4_table *t) {
  p4_table_control *c = t->control;
  free_kind(t);
  if (t->entries != NULL) p4_block_free(t->entries, c->capacity * t->entry_stride);
  if (c->records != NULL) p4_block_free(c->records, c->record_bytes);
  if (c->ranks != NULL) p4_block_free(c->ranks, c->rank_bytes);
  p4_match_index_free(&c->index);
  p4_timeouts_free(&c->timeouts);
  p4_handles_free(&c->handles);
  *c = (p4_table_control){.extra_bytes = c->extra_bytes, .record_words = c->record_words};
  t->entries = NULL;
  t->count = 0;
}

static void unreference_entries(p4_table *t) {
  if (t->profile == NULL || t->count == 0) return;
  for (uint32_t handle = 0, left = t->count; left != 0; handle++) {
    const p4_entry *e = p4_table_entry(t, handle);
    if (e == NULL) continue;
    unreference(t, e);
    left--;
  }
}

void p4_table_free(p4_table *t) {
  if (t->info == NULL) return;
  unreference_entries(t);
  unreference(t, t->default_entry);
  free_entries(t);
  free(t->control);
  free(t->default_entry);
  *t = (p4_table){0};
}

int p4_table_clear(p4_table *t) {
  p4_table fresh = *t;
  /* Make the empty structure first: failing must not leave a table without one. */
  if (!init_kind(&fresh)) return P4_NO_MEMORY;
  unreference_entries(t);
  free_entries(t);
  t->exact = fresh.exact;
  t->lpm = fresh.lpm;
  t->ternary = fresh.ternary;
  return P4_OK;
}

/* Room for a handle in everything that is kept by handle. */
static bool reserve(p4_table *t, uint32_t handle) {
  p4_table_control *c = t->control;
  if (handle < c->capacity) return true;
  const uint32_t capacity = c->capacity == 0 ? 4 : c->capacity * 2;
  if (t->info->kind == P4_EXACT) {
    if (!p4_exact_reserve(t, capacity)) return false;
    c->capacity = capacity;
    return true;
  }
  const uint64_t rank_bytes = sizeof *c->ranks * capacity;
  const uint64_t record_bytes = sizeof *c->records * capacity * c->record_words;
  /* Those that did grow before one that could not are only larger than they need to be. */
  if (rank_bytes > c->rank_bytes) {
    uint32_t *ranks = p4_block_grow(c->ranks, c->rank_bytes, rank_bytes);
    if (ranks == NULL) return false;
    c->ranks = ranks;
    c->rank_bytes = rank_bytes;
  }
  if (record_bytes > c->record_bytes) {
    uint64_t *records = p4_block_grow(c->records, c->record_bytes, record_bytes);
    if (records == NULL) return false;
    c->records = records;
    c->record_bytes = record_bytes;
  }
  uint8_t *entries = p4_block_grow(t->entries, c->capacity * t->entry_stride, capacity * t->entry_stride);
  if (entries == NULL) return false;
  t->entries = entries;
  c->capacity = capacity;
  return true;
}

static bool valid_prefix(const p4_table_info *info, const uint64_t *key, uint32_t length) {
  if (length > info->lpm_width) return false;
  for (uint32_t word = info->lpm_word; word < info->key_words; word++) {
    const uint32_t before = (word - info->lpm_word) * 64u;
    const uint32_t inside = length <= before ? 0 : length - before;
    const uint64_t outside = inside >= 64 ? 0 : UINT64_MAX >> inside;
    if ((key[word] & outside) != 0) return false;
  }
  return true;
}

static bool valid_match(const p4_table *t, const uint64_t *key, const uint64_t *mask, uint32_t prefix_length) {
  switch (t->info->kind) {
    case P4_EXACT: return true;
    case P4_LPM: return valid_prefix(t->info, key, prefix_length);
    case P4_KEYLESS: return false;
    default: return mask != NULL && p4_ternary_valid(t->info, key, mask);
  }
}

/* Put the match under a handle that has room. The entry's handle and match are set, nothing else. */
static p4_entry *insert_match(p4_table *t, const uint64_t *key, const uint64_t *mask, uint32_t rank, uint32_t handle) {
  p4_table_control *c = t->control;
  if (t->info->kind == P4_EXACT) return p4_exact_insert(t, key, handle);
  const uint32_t words = t->info->key_words;
  uint64_t *record = c->records + (uint64_t)handle * c->record_words;
  if (!p4_match_index_reserve(&c->index, t->count + 1)) return NULL;
  memcpy(record, key, words * sizeof *record);
  if (mask != NULL) memcpy(record + words, mask, words * sizeof *record);
  c->ranks[handle] = rank;
  if (!(t->info->kind == P4_LPM ? p4_lpm_insert(t, handle) : p4_ternary_insert(t, handle))) return NULL;
  p4_match_index_put(&c->index, record_hash(t, record, rank), handle);
  p4_entry *e = (p4_entry *)(t->entries + handle * t->entry_stride);
  e->handle = handle;
  return e;
}

static void delete_match(p4_table *t, uint32_t handle) {
  if (t->info->kind == P4_EXACT) {
    p4_exact_delete(t, handle);
    return;
  }
  const uint32_t hash = record_hash(t, p4_table_record(t, handle), t->control->ranks[handle]);
  p4_match_index_remove(&t->control->index, hash, handle);
  if (t->info->kind == P4_LPM)
    p4_lpm_delete(t, handle);
  else
    p4_ternary_delete(t, handle);
}

/* Whether an entry with the same match is there. `record` is the key and the mask. */
static bool exists(p4_table *t, const uint64_t *key, const uint64_t *mask, uint32_t rank) {
  const uint32_t words = t->info->key_words;
  if (t->info->kind == P4_EXACT) return p4_exact_find(t, key, words) != NULL;
  if (mask == NULL) return p4_table_locate(t, key, rank) != P4_NONE;
  uint64_t record[2 * words];
  memcpy(record, key, words * sizeof *record);
  memcpy(record + words, mask, words * sizeof *record);
  return p4_table_locate(t, record, rank) != P4_NONE;
}

int p4_table_insert(p4_table *t, const uint64_t *key, const uint64_t *mask, uint32_t prefix_length, uint32_t priority,
                    uint32_t action, const void *data, uint32_t data_length, uint64_t timeout, uint64_t now,
                    uint32_t *handle) {
  p4_table_control *c = t->control;
  int status = check_action(t, action, data_length);
  if (status != P4_OK || !valid_match(t, key, mask, prefix_length)) return P4_INVALID;
  if (!has_mask(t)) mask = NULL;
  const uint32_t rank = t->info->kind == P4_LPM ? prefix_length : has_mask(t) ? priority : 0;
  if (exists(t, key, mask, rank)) return P4_EXISTS;
  if (t->count >= t->info->max_size) return P4_FULL;
  status = reference(t, action, data);
  if (status != P4_OK) return status;
  const uint32_t given = p4_handles_take(&c->handles);
  p4_entry *e = NULL;
  if (given != P4_NONE && reserve(t, given) && p4_timeouts_set(&c->timeouts, given, timeout, now))
    e = insert_match(t, key, mask, rank, given);
  if (e == NULL) {
    if (given != P4_NONE) {
      p4_timeouts_remove(&c->timeouts, given);
      p4_handles_return(&c->handles, given);
    }
    uint32_t to;
    if (refers(t, action, data, &to)) p4_profile_unreference(t->profile, action, to);
    return P4_NO_MEMORY;
  }
  set_action(t, e, action, data, data_length);
  memset(e->data + t->info->data_bytes, 0, c->extra_bytes);
  e->packets = 0;
  e->bytes = 0;
  e->last_hit = now;
  t->count++;
  if (has_mask(t)) p4_ternary_settle(t);
  *handle = given;
  return P4_OK;
}

int p4_table_modify(p4_table *t, uint32_t handle, uint32_t action, const void *data, uint32_t data_length,
                    uint64_t timeout, uint64_t now) {
  p4_entry *e = p4_table_entry(t, handle);
  if (e == NULL) return P4_NOT_FOUND;
  int status = check_action(t, action, data_length);
  if (status == P4_OK) status = reference(t, action, data);
  if (status != P4_OK) return status;
  if (!p4_timeouts_set(&t->control->timeouts, handle, timeout, now)) {
    uint32_t to;
    if (refers(t, action, data, &to)) p4_profile_unreference(t->profile, action, to);
    return P4_NO_MEMORY;
  }
  unreference(t, e);
  set_action(t, e, action, data, data_length);
  return P4_OK;
}

int p4_table_delete(p4_table *t, uint32_t handle) {
  const p4_entry *e = p4_table_entry(t, handle);
  if (e == NULL) return P4_NOT_FOUND;
  unreference(t, e);
  delete_match(t, handle);
  p4_timeouts_remove(&t->control->timeouts, handle);
  p4_handles_return(&t->control->handles, handle);
  t->count--;
  if (has_mask(t)) p4_ternary_settle(t);
  return P4_OK;
}

/* ---- idle timeouts --------------------------------------------------------------------------------------- */

uint32_t p4_table_expired(p4_table *t, uint64_t now, uint32_t *handles, uint32_t max) {
  p4_timeouts *q = &t->control->timeouts;
  uint32_t found = 0;
  for (uint32_t i = 0; i < MAX_CHECKS && found < max; i++) {
    const uint32_t handle = p4_timeouts_due(q, now);
    if (handle == P4_NONE) break;
    if (p4_timeouts_check(q, p4_table_entry(t, handle)->last_hit, now)) handles[found++] = handle;
  }
  return found;
}

uint64_t p4_table_next_expiry(const p4_table *t, uint64_t now) {
  const p4_timeouts *q = &t->control->timeouts;
  if (q->count == 0) return P4_NEVER;
  return q->heap[0].time > now ? q->heap[0].time : now;
}
