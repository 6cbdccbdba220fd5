/* SPDX-License-Identifier: Apache-2.0
 *
 * What table.c shares with the kinds of tables (exact.c, lpm.c, ternary.c).
 */
#ifndef P4JIT_TABLE_PRIVATE_H
#define P4JIT_TABLE_PRIVATE_H

#include "blocks.h"
#include "handles.h"
#include "match_index.h"
#include "table.h"
#include "timeouts.h"

/* ---- what only control calls use ----------------------------------------------------------------------- */

struct p4_table_control {
  p4_handles handles;
  p4_timeouts timeouts;
  uint32_t extra_bytes;
  uint32_t capacity;         /* handles the arrays below have room for */
  /* All kinds but exact, by handle: */
  uint64_t *records;         /* the key and, in ternary and range tables, the mask */
  uint32_t record_words;
  uint64_t record_bytes;     /* of records */
  uint32_t *ranks;           /* prefix length or priority */
  uint64_t rank_bytes;       /* of ranks */
  p4_match_index index;
};

static inline const uint64_t *p4_table_record(const p4_table *t, uint32_t handle) {
  return t->control->records + (uint64_t)handle * t->control->record_words;
}

/* The handle of the entry with this record and rank, or P4_NONE. */
uint32_t p4_table_locate(const p4_table *t, const uint64_t *record, uint32_t rank);

/* ---- kinds --------------------------------------------------------------------------------------------- */

/* init leaves nothing behind when it fails; free also takes what was only zeroed. insert: the match is not in
 * the table and `handle` is not in use. */

bool p4_exact_init(p4_table *t);
void p4_exact_free(p4_table *t);
/* Room for handles below `capacity`. */
bool p4_exact_reserve(p4_table *t, uint32_t capacity);
/* The entry to fill in, its handle set; NULL: no memory. */
p4_entry *p4_exact_insert(p4_table *t, const uint64_t *key, uint32_t handle);
void p4_exact_delete(p4_table *t, uint32_t handle);
p4_entry *p4_exact_entry(const p4_table *t, uint32_t handle);

bool p4_lpm_init(p4_table *t);
void p4_lpm_free(p4_table *t);
/* The record and rank of `handle` are set, and in the index only afterwards. */
bool p4_lpm_insert(p4_table *t, uint32_t handle);
/* They are no longer in the index. */
void p4_lpm_delete(p4_table *t, uint32_t handle);

bool p4_ternary_init(p4_table *t);
void p4_ternary_free(p4_table *t);
bool p4_ternary_insert(p4_table *t, uint32_t handle);
void p4_ternary_delete(p4_table *t, uint32_t handle);
/* After each of them, once t->count and the handles are true: switch to another way of searching when it has
 * become much better. */
void p4_ternary_settle(p4_table *t);
/* Whether low <= high in every range field, and no other key bit is outside the mask. */
bool p4_ternary_valid(const p4_table_info *info, const uint64_t *key, const uint64_t *mask);

#endif
