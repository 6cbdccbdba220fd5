/* SPDX-License-Identifier: Apache-2.0
 *
 * LPM tables: a trie of a byte a level. Nodes hold runs of equal slots (table.h), so that one costs a cache
 * line or two, and skip the bytes on which nothing branches. A prefix of n bits lies in the node of its last
 * bit's byte, over all slots it covers there; lookups remember the last leaf they passed. So an update touches
 * one node, and the links to it. A prefix that is alone below a slot needs no node. With many prefixes the
 * first two levels become one array.
 */
#include "table_private.h"

#define MANY_PREFIXES 8192u  /* of a group; from here on `direct` costs no more than 64 bytes each */
#define DIRECT_SLOTS 65536u
#define NODE_SLOTS 256u
#define FIRST_GROUPS_LOG 2
#define SPARE_GROUPS 512u    /* at most, behind the last home: as in exact.c */
#define MOVE_GROUPS 1024u    /* slots per insertion while their number doubles */
#define NO_SHIFT 63u         /* as in exact.c */

/* A prefix being inserted or deleted. */
typedef struct prefix {
  const uint64_t *field;     /* left-aligned, zero behind the prefix */
  uint32_t words;
  uint32_t length;           /* bits */
  uint32_t byte;             /* index of the byte its last bit is in */
  uint32_t leaf;             /* handle + 1 */
  uint32_t instead;          /* deleting: the leaf that shows in its slots then */
} prefix;

static const uint32_t BLOCK_LINES[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 33};

static uint32_t leaf_of(uint64_t slot) { return (uint32_t)slot; }
static uint32_t child_of(uint64_t slot) { return (uint32_t)(slot >> 32); }
static uint64_t make_slot(uint32_t leaf, uint32_t child) { return (uint64_t)child << 32 | leaf; }

static uint32_t byte_at(const uint64_t *field, uint32_t at) {
  return (uint32_t)(field[at / 8] >> (56 - at % 8 * 8)) & 0xff;
}

/* ---- the arena ----------------------------------------------------------------------------------------- */

static p4_lpm_node *node_at(const p4_table *t, uint32_t line) {
  return (p4_lpm_node *)(t->lpm.arena + (uint64_t)line * 64);
}

static uint32_t lines_for(uint32_t runs) {
  const uint32_t lines = (uint32_t)((sizeof(p4_lpm_node) + runs * sizeof(uint64_t) + 63) / 64);
  uint32_t i = 0;
  while (BLOCK_LINES[i] < lines) i++;
  return BLOCK_LINES[i];
}

/* Room for whatever one insertion allocates, so that it cannot fail or move the arena half-way. */
static bool reserve_lines(p4_table *t) {
  p4_lpm *l = &t->lpm;
  const uint32_t field_bytes = (t->info->lpm_width + 7) / 8;
  /* Nodes with one or two ways on take at most two lines each and skip 8 bytes; two nodes may be large. */
  const uint64_t need = (uint64_t)l->used + 2 * (field_bytes / 9 + 2) + 2 * 33;
  if (need <= l->lines) return true;
  uint64_t lines = l->lines == 0 ? 128 : l->lines;
  while (lines < need) lines *= 2;
  if (lines > P4_LPM_ALONE) return false;
  uint8_t *arena = p4_block_grow(l->arena, (uint64_t)l->lines * 64, lines * 64);
  if (arena == NULL) return false;
  l->arena = arena;
  l->lines = (uint32_t)lines;
  return true;
}

static uint32_t take_block(p4_table *t, uint32_t lines) {
  p4_lpm *l = &t->lpm;
  const uint32_t block = l->free_blocks[lines];
  if (block != 0) {
    memcpy(&l->free_blocks[lines], node_at(t, block), sizeof(uint32_t));
    return block;
  }
  const uint32_t fresh = l->used;
  l->used += lines;
  return fresh;
}

static void return_block(p4_table *t, uint32_t line) {
  p4_lpm *l = &t->lpm;
  const uint32_t lines = node_at(t, line)->lines;
  memcpy(node_at(t, line), &l->free_blocks[lines], sizeof(uint32_t));
  l->free_blocks[lines] = line;
}

/* ---- nodes ----------------------------------------------------------------------------------------------- */

static void unpack(const p4_lpm_node *node, uint64_t slots[NODE_SLOTS]) {
  uint64_t slot = 0;
  uint32_t run = 0;
  for (uint32_t i = 0; i < NODE_SLOTS; i++) {
    if (node->starts[i / 64] >> i % 64 & 1) slot = node->slots[run++];
    slots[i] = slot;
  }
}

static uint32_t count_runs(const uint64_t slots[NODE_SLOTS]) {
  uint64_t before = 0;
  uint32_t runs = 0;
  for (uint32_t i = 0; i < NODE_SLOTS; i++) {
    runs += slots[i] != before;
    before = slots[i];
  }
  return runs;
}

/* Write slots to a node that has room for their runs. */
static void pack(p4_lpm_node *node, const uint64_t slots[NODE_SLOTS]) {
  uint64_t before = 0;
  uint32_t runs = 0;
  for (uint32_t word = 0; word < 4; word++) {
    uint64_t starts = 0;
    node->ranks[word] = (uint8_t)runs;
    for (uint32_t i = 0; i < 64; i++) {
      const uint64_t slot = slots[word * 64 + i];
      if (slot == before) continue;
      before = slot;
      starts |= UINT64_C(1) << i;
      node->slots[runs++] = slot;
    }
    node->starts[word] = starts;
  }
  node->runs = (uint16_t)runs;
}

static uint32_t new_node(p4_table *t, const uint64_t slots[NODE_SLOTS], uint32_t skip, uint64_t skipped) {
  const uint32_t lines = lines_for(count_runs(slots));
  const uint32_t line = take_block(t, lines);
  p4_lpm_node *node = node_at(t, line);
  node->lines = (uint8_t)lines;
  node->skip = (uint8_t)skip;
  node->skipped = skipped;
  pack(node, slots);
  return line;
}

/* Give a node other slots; it may get another block. When only deleting, a smaller one is taken where there
 * is one at hand. */
static uint32_t replace_slots(p4_table *t, uint32_t line, const uint64_t slots[NODE_SLOTS]) {
  p4_lpm_node *node = node_at(t, line);
  const uint32_t lines = lines_for(count_runs(slots));
  const bool at_hand = t->lpm.free_blocks[lines] != 0 || t->lpm.used + lines <= t->lpm.lines;
  if (lines == node->lines || (lines < node->lines && !at_hand)) {
    pack(node, slots);
    return line;
  }
  const uint32_t fresh = new_node(t, slots, node->skip, node->skipped);
  return_block(t, line);
  return fresh;
}

static uint64_t *slot_of(p4_lpm_node *node, uint32_t byte) {
  const uint64_t before = node->starts[byte / 64] & ((UINT64_C(2) << byte % 64) - 1);
  const uint32_t run = node->ranks[byte / 64] + p4_count_bits(before);
  return run != 0 ? &node->slots[run - 1] : NULL;
}

/* ---- insertion ------------------------------------------------------------------------------------------- */

/* The slots that a prefix covers in the node of its last byte: bits beyond are free. */
static void covered(const prefix *p, uint32_t *first, uint32_t *last) {
  const uint32_t fixed = p->length - p->byte * 8; /* 0 for the empty prefix only */
  *first = byte_at(p->field, p->byte);
  *last = *first | (0xffu >> fixed);
}

static void cover(const p4_table *t, const prefix *p, uint64_t slots[NODE_SLOTS]) {
  uint32_t first, last;
  covered(p, &first, &last);
  for (uint32_t i = first; i <= last; i++) {
    const uint32_t leaf = leaf_of(slots[i]);
    if (leaf == 0 || t->control->ranks[leaf - 1] < p->length) slots[i] = make_slot(p->leaf, child_of(slots[i]));
  }
}

static prefix prefix_of(const p4_table *t, uint32_t handle) {
  const uint32_t length = t->control->ranks[handle];
  return (prefix){.field = p4_table_record(t, handle) + t->info->lpm_word,
                  .words = t->info->key_words - t->info->lpm_word,
                  .length = length,
                  .byte = length == 0 ? 0 : (length - 1) / 8,
                  .leaf = handle + 1};
}

static uint32_t alone(const prefix *p) { return P4_LPM_ALONE | (p->leaf - 1); }

static bool is_node(uint32_t child) { return child != 0 && child < P4_LPM_ALONE; }

/* Put a prefix into an unpacked node that branches on byte `at`; a child of its slot is not there yet. */
static void put_prefix(const p4_table *t, const prefix *p, uint32_t at, uint64_t slots[NODE_SLOTS]) {
  if (p->byte == at) {
    cover(t, p, slots);
    return;
  }
  uint64_t *slot = &slots[byte_at(p->field, at)];
  *slot = make_slot(leaf_of(*slot), alone(p));
}

/* The node below byte `at` for two prefixes. */
static uint32_t new_pair(p4_table *t, const prefix *p, const prefix *q, uint32_t at) {
  const uint32_t end = p->byte < q->byte ? p->byte : q->byte;
  uint32_t skip = 0;
  while (skip < 8 && at + skip < end && byte_at(p->field, at + skip) == byte_at(q->field, at + skip)) skip++;
  const uint32_t branch = at + skip;
  const uint64_t skipped = skip != 0 ? p4_lpm_window(p->field, p->words, at) & ~(UINT64_MAX >> 1 >> (8 * skip - 1)) : 0;
  uint64_t slots[NODE_SLOTS] = {0};
  if (branch < end && byte_at(p->field, branch) == byte_at(q->field, branch)) {
    slots[byte_at(p->field, branch)] = make_slot(0, new_pair(t, p, q, branch + 1));
  } else {
    put_prefix(t, p, branch, slots);
    put_prefix(t, q, branch, slots);
  }
  return new_node(t, slots, skip, skipped);
}

/* How many of a node's skipped bytes the prefix has too. */
static uint32_t common_bytes(const p4_lpm_node *node, const prefix *p, uint32_t at) {
  if (node->skip == 0) return 0;
  const uint64_t difference = p4_lpm_window(p->field, p->words, at) ^ node->skipped;
  uint32_t common = difference == 0 ? 8 : (uint32_t)__builtin_clzll(difference) / 8;
  if (common > node->skip) common = node->skip;
  return common < p->byte - at ? common : p->byte - at;
}

/* Put a node in front of one that skips bytes the prefix does not share; the prefix goes below or into it. */
static uint32_t split(p4_table *t, uint32_t line, const prefix *p, uint32_t at, uint32_t common) {
  p4_lpm_node *node = node_at(t, line);
  const uint64_t skipped = node->skipped;
  const uint32_t branch = (uint32_t)(skipped >> (56 - 8 * common)) & 0xff;
  uint64_t slots[NODE_SLOTS] = {0};
  slots[branch] = make_slot(0, line);
  node->skip -= (uint8_t)(common + 1);
  node->skipped = node->skip != 0 ? skipped << 8 * (common + 1) : 0;
  put_prefix(t, p, at + common, slots);
  return new_node(t, slots, common, common != 0 ? skipped & ~(UINT64_MAX >> 8 * common) : 0);
}

/* Insert below a node, or beside a prefix that was alone, reached after `at` bytes: what is there then. */
static uint32_t insert_below(p4_table *t, uint32_t child, const prefix *p, uint32_t at) {
  if (child == 0) return alone(p);
  if (!is_node(child)) {
    const prefix other = prefix_of(t, child - P4_LPM_ALONE);
    return new_pair(t, p, &other, at);
  }
  p4_lpm_node *node = node_at(t, child);
  const uint32_t common = common_bytes(node, p, at);
  if (common < node->skip) return split(t, child, p, at, common);
  at += common;
  uint64_t *slot = slot_of(node, byte_at(p->field, at));
  if (p->byte != at && slot != NULL && child_of(*slot) != 0) {
    *slot = make_slot(leaf_of(*slot), insert_below(t, child_of(*slot), p, at + 1));
    return child;
  }
  uint64_t slots[NODE_SLOTS];
  unpack(node, slots);
  put_prefix(t, p, at, slots);
  return replace_slots(t, child, slots);
}

/* ---- deletion -------------------------------------------------------------------------------------------- */

/* A node without leaves and with one child is joined with it, unless too many bytes would be skipped. */
static uint32_t join(p4_table *t, uint32_t line, uint32_t byte, uint32_t child) {
  p4_lpm_node *node = node_at(t, line), *below = node_at(t, child);
  if (node->skip + 1u + below->skip > 8) return line;
  const uint64_t tail = (uint64_t)byte << 56 | below->skipped >> 8;
  below->skipped = node->skipped | tail >> 8 * node->skip;
  below->skip += (uint8_t)(node->skip + 1);
  return_block(t, line);
  return child;
}

/* Give a node that lost something its slots, or put what is left in its place. `keep`: it is the node of a
 * group's first byte, which stays while there is anything below. */
static uint32_t shrink(p4_table *t, uint32_t line, const uint64_t slots[NODE_SLOTS], bool keep) {
  uint32_t children = 0, byte = 0, leaf = 0;
  bool leaves = false;
  for (uint32_t i = 0; i < NODE_SLOTS; i++) {
    if (child_of(slots[i]) != 0) {
      children++;
      byte = i;
    }
    if (leaf_of(slots[i]) == 0) continue;
    leaves |= leaf != 0 && leaf_of(slots[i]) != leaf;
    leaf = leaf_of(slots[i]);
  }
  uint32_t instead = child_of(slots[byte]);
  if (children + (leaf != 0) == 0) {
    return_block(t, line);
    return 0;
  }
  if (keep || leaves || children + (leaf != 0) > 1) return replace_slots(t, line, slots);
  if (is_node(instead)) {
    instead = join(t, line, byte, instead);
    return instead == line ? replace_slots(t, line, slots) : instead;
  }
  return_block(t, line);
  return leaf != 0 ? P4_LPM_ALONE | (leaf - 1) : instead;
}

static void uncover(const prefix *p, uint64_t *slots, uint32_t first, uint32_t last) {
  for (uint32_t i = first; i <= last; i++)
    if (leaf_of(slots[i]) == p->leaf) slots[i] = make_slot(p->instead, child_of(slots[i]));
}

static uint32_t delete_below(p4_table *t, uint32_t line, const prefix *p, uint32_t at) {
  if (!is_node(line)) return 0;
  const bool keep = at == 0;
  p4_lpm_node *node = node_at(t, line);
  at += node->skip;
  uint64_t *slot = slot_of(node, byte_at(p->field, at));
  if (p->byte != at) {
    const uint32_t child = delete_below(t, child_of(*slot), p, at + 1);
    *slot = make_slot(leaf_of(*slot), child);
    if (is_node(child)) return line;
  }
  uint64_t slots[NODE_SLOTS];
  unpack(node, slots);
  if (p->byte == at) {
    uint32_t first, last;
    covered(p, &first, &last);
    uncover(p, slots, first, last);
  }
  return shrink(t, line, slots, keep);
}

/* ---- groups ---------------------------------------------------------------------------------------------- */

static uint64_t group_stride(const p4_table *t) { return t->info->lpm_word * 8u + sizeof(p4_lpm_group); }

static uint64_t group_slots(const p4_table *t, uint32_t shift) {
  const uint64_t homes = UINT64_C(1) << (64 - shift), half = homes / 2;
  return t->info->lpm_word == 0 ? 1 : homes + (half < SPARE_GROUPS ? half : SPARE_GROUPS) + 1;
}

static p4_lpm_group *group_in(const p4_table *t, uint8_t *slot) {
  return (p4_lpm_group *)(slot + t->info->lpm_word * 8u);
}

static uint8_t *new_groups(const p4_table *t, uint32_t shift) {
  return p4_block_zeroed(group_slots(t, shift) * group_stride(t));
}

static uint64_t group_hash(const p4_table *t, const uint64_t *key) {
  return p4_key_hash(key, t->info->lpm_word, t->seed);
}

/* Whether a hash's group is in the old slots. */
static bool in_old_groups(const p4_lpm *l, uint64_t hash) { return hash >> l->old_group_shift >= l->group_frontier; }

/* The slot of these exact words, or the free one for them; NULL when that is the last of all, which must
 * stay free to end every search. */
static uint8_t *group_slot(const p4_table *t, uint8_t *groups, uint32_t shift, const uint64_t *key) {
  const uint32_t words = t->info->lpm_word;
  const uint64_t stride = group_stride(t);
  if (words == 0) return groups;
  uint8_t *slot = groups + (group_hash(t, key) >> shift) * stride;
  while (group_in(t, slot)->count != 0 && !p4_same_key((const uint64_t *)slot, key, words)) slot += stride;
  return slot == groups + (group_slots(t, shift) - 1) * stride ? NULL : slot;
}

static uint8_t *group_place(const p4_table *t, const uint64_t *key) {
  const p4_lpm *l = &t->lpm;
  if (in_old_groups(l, group_hash(t, key))) return group_slot(t, l->old_groups, l->old_group_shift, key);
  return group_slot(t, l->groups, l->group_shift, key);
}

static void end_group_move(p4_table *t) {
  p4_lpm *l = &t->lpm;
  p4_block_free(l->old_groups, group_slots(t, l->old_group_shift) * group_stride(t));
  l->old_groups = NULL;
  l->old_group_shift = NO_SHIFT;
  l->group_frontier = UINT64_MAX;
}

/* Move at least `count` slots, or all that are left; stops behind a free one only, as in exact.c. False when a
 * group finds no slot. */
static bool move_groups(p4_table *t, uint64_t count) {
  p4_lpm *l = &t->lpm;
  if (l->old_groups == NULL) return true;
  const uint64_t stride = group_stride(t), end = group_slots(t, l->old_group_shift);
  uint64_t at = l->group_frontier;
  for (;; at++) {
    uint8_t *from = l->old_groups + at * stride;
    if (group_in(t, from)->count == 0) {
      if (at + 1 == end || at - l->group_frontier >= count) break;
      continue;
    }
    uint8_t *to = group_slot(t, l->groups, l->group_shift, (const uint64_t *)from);
    if (to == NULL) return false;
    memcpy(to, from, stride);
  }
  l->group_frontier = at + 1;
  if (at + 1 == end) end_group_move(t);
  return true;
}

static bool make_group_room(p4_table *t) {
  p4_lpm *l = &t->lpm;
  if (t->info->lpm_word == 0) return true;
  if (!move_groups(t, MOVE_GROUPS)) return false;
  if (l->group_count < UINT64_C(1) << (64 - l->group_shift) >> 1) return true;
  if (!move_groups(t, UINT64_MAX)) return false;
  uint8_t *groups = new_groups(t, l->group_shift - 1);
  if (groups == NULL) return false;
  l->old_groups = l->groups;
  l->old_group_shift = l->group_shift;
  l->group_frontier = 0;
  l->groups = groups;
  l->group_shift--;
  return move_groups(t, MOVE_GROUPS);
}

/* The group of a key, which may be a free place (count 0) with the exact words written. */
static p4_lpm_group *group_for(p4_table *t, const uint64_t *key) {
  if (!make_group_room(t)) return NULL;
  uint8_t *slot = group_place(t, key);
  if (slot == NULL) return NULL;
  memcpy(slot, key, t->info->lpm_word * 8u);
  return group_in(t, slot);
}

static void drop_group(p4_table *t, p4_lpm_group *group) {
  p4_lpm *l = &t->lpm;
  const uint64_t stride = group_stride(t);
  if (group->direct != NULL) p4_block_free(group->direct, DIRECT_SLOTS * sizeof *group->direct);
  *group = (p4_lpm_group){0};
  l->group_count--;
  if (t->info->lpm_word == 0) return;
  uint8_t *hole = (uint8_t *)group - t->info->lpm_word * 8u;
  const bool old = in_old_groups(l, group_hash(t, (const uint64_t *)hole));
  const uint8_t *groups = old ? l->old_groups : l->groups;
  const uint32_t shift = old ? l->old_group_shift : l->group_shift;
  for (uint8_t *slot = hole + stride; group_in(t, slot)->count != 0; slot += stride) {
    if (groups + (group_hash(t, (const uint64_t *)slot) >> shift) * stride > hole) continue;
    memcpy(hole, slot, stride);
    *group_in(t, slot) = (p4_lpm_group){0};
    hole = slot;
  }
}

/* ---- the first two bytes ----------------------------------------------------------------------------------- */

/* The slots of byte `at` below a slot with this child. Uses up the node; one that skips bytes skips one less. */
static void open_child(p4_table *t, uint32_t line, uint32_t at, uint64_t slots[NODE_SLOTS]) {
  memset(slots, 0, NODE_SLOTS * sizeof *slots);
  if (line == 0) return;
  if (!is_node(line)) {
    const prefix p = prefix_of(t, line - P4_LPM_ALONE);
    put_prefix(t, &p, at, slots);
    return;
  }
  p4_lpm_node *node = node_at(t, line);
  if (node->skip == 0) {
    unpack(node, slots);
    return_block(t, line);
    return;
  }
  slots[node->skipped >> 56] = make_slot(0, line);
  node->skipped <<= 8;
  node->skip--;
}

/* Where this fails for want of memory the trie does as well. */
static void make_direct(p4_table *t, p4_lpm_group *group) {
  uint64_t *direct = p4_block_new(DIRECT_SLOTS * sizeof *direct);
  if (direct == NULL) return;
  uint64_t first[NODE_SLOTS], second[NODE_SLOTS];
  open_child(t, group->root, 0, first);
  for (uint32_t a = 0; a < NODE_SLOTS; a++) {
    open_child(t, child_of(first[a]), 1, second);
    for (uint32_t b = 0; b < NODE_SLOTS; b++) {
      const uint32_t leaf = leaf_of(second[b]) != 0 ? leaf_of(second[b]) : leaf_of(first[a]);
      direct[a * NODE_SLOTS + b] = make_slot(leaf, child_of(second[b]));
    }
  }
  group->direct = direct;
  group->root = 0;
}

static uint64_t *direct_range(const p4_lpm_group *group, const prefix *p, uint32_t *count) {
  *count = DIRECT_SLOTS >> p->length;
  return group->direct + (p->field[0] >> 48);
}

static void insert_direct(p4_table *t, p4_lpm_group *group, const prefix *p) {
  if (p->length > 16) {
    uint64_t *slot = &group->direct[p->field[0] >> 48];
    *slot = make_slot(leaf_of(*slot), insert_below(t, child_of(*slot), p, 2));
    return;
  }
  uint32_t count;
  uint64_t *slots = direct_range(group, p, &count);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t leaf = leaf_of(slots[i]);
    if (leaf == 0 || t->control->ranks[leaf - 1] < p->length) slots[i] = make_slot(p->leaf, child_of(slots[i]));
  }
}

static void delete_direct(p4_table *t, p4_lpm_group *group, const prefix *p) {
  if (p->length > 16) {
    uint64_t *slot = &group->direct[p->field[0] >> 48];
    *slot = make_slot(leaf_of(*slot), delete_below(t, child_of(*slot), p, 2));
    return;
  }
  uint32_t count;
  uint64_t *slots = direct_range(group, p, &count);
  uncover(p, slots, 0, count - 1);
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

bool p4_lpm_init(p4_table *t) {
  p4_lpm *l = &t->lpm;
  *l = (p4_lpm){.group_shift = 64 - FIRST_GROUPS_LOG, .old_group_shift = NO_SHIFT, .group_frontier = UINT64_MAX,
                .used = 1};
  l->prefix_offset = (uint32_t)sizeof(p4_entry) + t->info->data_bytes + t->control->extra_bytes;
  l->groups = new_groups(t, l->group_shift);
  return l->groups != NULL;
}

/* `first`: the slots before hold what has moved. */
static void free_groups(p4_table *t, uint8_t *groups, uint32_t shift, uint64_t first) {
  const uint64_t count = group_slots(t, shift), stride = group_stride(t);
  for (uint64_t i = first; i < count; i++) {
    uint64_t *direct = group_in(t, groups + i * stride)->direct;
    if (direct != NULL) p4_block_free(direct, DIRECT_SLOTS * sizeof *direct);
  }
  p4_block_free(groups, count * stride);
}

void p4_lpm_free(p4_table *t) {
  p4_lpm *l = &t->lpm;
  if (l->groups != NULL) free_groups(t, l->groups, l->group_shift, 0);
  if (l->old_groups != NULL) free_groups(t, l->old_groups, l->old_group_shift, l->group_frontier);
  if (l->arena != NULL) p4_block_free(l->arena, (uint64_t)l->lines * 64);
  *l = (p4_lpm){0};
}

bool p4_lpm_insert(p4_table *t, uint32_t handle) {
  const prefix p = prefix_of(t, handle);
  if (!reserve_lines(t)) return false;
  p4_lpm_group *group = group_for(t, p4_table_record(t, handle));
  if (group == NULL) return false;
  uint64_t *written = (uint64_t *)(t->entries + handle * t->entry_stride + t->lpm.prefix_offset);
  written[0] = p.length;
  memcpy(written + 1, p.field, p.words * sizeof *written);
  if (group->direct != NULL) {
    insert_direct(t, group, &p);
  } else if (group->root != 0) {
    group->root = insert_below(t, group->root, &p, 0);
  } else {
    uint64_t slots[NODE_SLOTS] = {0};
    put_prefix(t, &p, 0, slots);
    group->root = new_node(t, slots, 0, 0);
  }
  if (group->count++ == 0) t->lpm.group_count++;
  if (group->direct == NULL && group->count >= MANY_PREFIXES) make_direct(t, group);
  return true;
}

/* The longest prefix that covers a deleted one and lies in the same node or array. */
static uint32_t leaf_instead(const p4_table *t, const prefix *p, const uint64_t *record, bool direct) {
  const uint32_t words = t->control->record_words, least = direct && p->length <= 16 ? 0 : p->byte * 8 + (p->byte != 0);
  uint64_t shorter[words];
  memcpy(shorter, record, words * sizeof *shorter);
  uint64_t *word = &shorter[t->info->lpm_word + p->byte / 8];
  for (uint32_t length = p->length; length-- > least;) {
    /* They all end in this word: `direct` has two bytes, a node one. */
    *word &= ~(UINT64_C(1) << (63 - length % 64));
    const uint32_t handle = p4_table_locate(t, shorter, length);
    if (handle != P4_NONE) return handle + 1;
  }
  return 0;
}

void p4_lpm_delete(p4_table *t, uint32_t handle) {
  const uint64_t *record = p4_table_record(t, handle);
  prefix p = prefix_of(t, handle);
  p4_lpm_group *group = group_in(t, group_place(t, record));
  p.instead = leaf_instead(t, &p, record, group->direct != NULL);
  if (group->direct != NULL)
    delete_direct(t, group, &p);
  else
    group->root = delete_below(t, group->root, &p, 0);
  if (--group->count == 0) drop_group(t, group);
}
