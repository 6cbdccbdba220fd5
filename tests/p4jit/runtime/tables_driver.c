/* SPDX-License-Identifier: Apache-2.0
 *
 * One table and the profile it may refer to.
 */
#include "profile.h"
#include "script.h"
#include "ternary_private.h"

#define MAX_WORDS 64

typedef struct fixture {
  p4_table table;
  p4_profile profile;
  p4_table_info info;
  p4_range_field ranges[8];
} fixture;

/* ---- how much a call does ---------------------------------------------------------------------------------- */

/* Counted where test_table_growth.py compiles with what calls these: basic blocks, and cache lines that the C
 * library copies, clears or moves. */
static uint64_t work;
/* The most in one call since they were last asked for. */
static uint64_t control_work, packet_work;

void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void) { work++; }

#ifdef COUNT_WORK /* linked with --wrap */
void *__real_memcpy(void *, const void *, size_t);
void *__real_memmove(void *, const void *, size_t);
void *__real_memset(void *, int, size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__wrap_memcpy(void *to, const void *from, size_t bytes);
void *__wrap_memmove(void *to, const void *from, size_t bytes);
void *__wrap_memset(void *to, int value, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap_memcpy(void *to, const void *from, size_t bytes) {
  work += bytes / 64;
  return __real_memcpy(to, from, bytes);
}

void *__wrap_memmove(void *to, const void *from, size_t bytes) {
  work += bytes / 64;
  return __real_memmove(to, from, bytes);
}

void *__wrap_memset(void *to, int value, size_t bytes) {
  work += bytes / 64;
  return __real_memset(to, value, bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
  work += count * bytes / 64;
  return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes) {
  work += bytes / 64;
  return __real_realloc(old, bytes);
}
#endif

#define COUNTED(most, call)                                 \
  do {                                                      \
    const uint64_t before_ = work;                          \
    call;                                                   \
    if (work - before_ > (most)) (most) = work - before_;   \
  } while (0)

/* Structures of which a part has moved: index, LPM groups, index of tuples' entries; phase of a ternary build;
 * phase of the mending of tuples' order. */
static void print_moves(const p4_table *t) {
  const bool ternary = t->ternary != NULL;
  printf("%d %d %d %d %d\n", t->control->index.old.slots != NULL, t->lpm.old_groups != NULL,
         ternary && t->ternary->tuples.heads.old.slots != NULL, ternary ? (int)t->ternary->build.phase : 0,
         ternary ? (int)t->ternary->tuples.order_work : 0);
}

static void print_work(void) {
  printf("%" PRIu64 " %" PRIu64 "\n", control_work, packet_work);
  control_work = packet_work = 0;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static uint32_t script_u32(void) { return (uint32_t)script_number(); }

static void read_words(uint64_t *words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) words[i] = script_number();
}

static void init(fixture *f) {
  f->info = (p4_table_info){.kind = (uint8_t)script_number()};
  f->info.key_words = (uint16_t)script_number();
  f->info.lpm_word = (uint16_t)script_number();
  f->info.lpm_width = script_u32();
  f->info.max_size = script_u32();
  f->info.data_bytes = script_u32();
  const uint32_t extra = script_u32();
  const bool has_profile = script_number() != 0;
  f->info.profile_kind = has_profile ? 2 : 0;
  f->info.range_count = script_u32();
  f->info.ranges = f->ranges;
  assert(f->info.range_count <= 8);
  for (uint32_t i = 0; i < f->info.range_count; i++) {
    f->ranges[i] = (p4_range_field){.word = (uint16_t)script_number()};
    f->ranges[i].shift = (uint8_t)script_number();
    f->ranges[i].width = script_u32();
  }
  assert(p4_profile_init(&f->profile, 8, 1000) == P4_OK);
  printf("%d\n", p4_table_init(&f->table, &f->info, has_profile ? &f->profile : NULL, extra, 12345));
}

/* As for a burst: of this key and of others. It must only read what there is. */
static void prefetch_lpm(const p4_table *t, const uint64_t *key) {
  const uint32_t words = t->info->key_words;
  uint64_t keys[P4_ACCEPTED * MAX_WORDS];
  for (uint64_t i = 0; i < P4_ACCEPTED; i++) {
    memcpy(keys + i * words, key, words * sizeof *key);
    keys[i * words + t->info->lpm_word] ^= i << 60;
  }
  p4_lpm_prefetch(t, keys, words, P4_ACCEPTED);
}

static p4_entry *find(fixture *f, const uint64_t *key) {
  p4_table *t = &f->table;
  /* Constant sizes, as generated code has, where the loops unroll. */
#define FIND(name)                                                  \
  switch (f->info.key_words) {                                      \
    case 1: return name(t, key, 1);                                 \
    case 2: return name(t, key, 2);                                 \
    case 5: return name(t, key, 5);                                 \
    default: return name(t, key, f->info.key_words);                \
  }
  switch (f->info.kind) {
    case P4_EXACT: p4_exact_prefetch(t, key, f->info.key_words); FIND(p4_exact_find)
    case P4_LPM: prefetch_lpm(t, key); FIND(p4_lpm_find)
    default: FIND(p4_ternary_find)
  }
#undef FIND
}

static void print_entry(const fixture *f, const p4_entry *e) {
  if (e == NULL) {
    puts("-");
    return;
  }
  uint64_t data = 0;
  memcpy(&data, e->data, f->info.data_bytes < 8 ? f->info.data_bytes : 8);
  printf("%" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", e->handle, e->action, data, e->packets,
         e->last_hit);
}

static void insert(fixture *f) {
  uint64_t key[MAX_WORDS], mask[MAX_WORDS];
  const uint32_t words = f->info.key_words;
  const bool has_mask = script_number() != 0;
  read_words(key, words);
  if (has_mask) read_words(mask, words);
  const uint32_t prefix_length = script_u32(), priority = script_u32(), action = script_u32();
  const uint64_t data = script_number();
  const uint32_t length = script_u32();
  const uint64_t timeout = script_number(), now = script_number();
  uint32_t handle = P4_NONE;
  int status;
  COUNTED(control_work, status = p4_table_insert(&f->table, key, has_mask ? mask : NULL, prefix_length, priority,
                                                 action, &data, length, timeout, now, &handle));
  printf("%d %" PRIu32 "\n", status, handle);
}

static void delete(fixture *f) {
  const uint32_t handle = script_u32();
  int status;
  COUNTED(control_work, status = p4_table_delete(&f->table, handle));
  printf("%d\n", status);
}

static void modify(fixture *f) {
  const uint32_t handle = script_u32(), action = script_u32();
  const uint64_t data = script_number();
  const uint32_t length = script_u32();
  const uint64_t timeout = script_number();
  printf("%d\n", p4_table_modify(&f->table, handle, action, &data, length, timeout, script_number()));
}

/* What generated code does on a hit. */
static void packet(fixture *f) {
  uint64_t key[MAX_WORDS];
  read_words(key, f->info.key_words);
  const uint64_t now = script_number();
  p4_entry *e;
  COUNTED(packet_work, e = find(f, key));
  if (e != NULL) {
    e->packets++;
    e->last_hit = now;
  }
  print_entry(f, e);
}

static void expired(fixture *f) {
  const uint64_t now = script_number();
  uint32_t handles[64];
  const uint32_t max = script_u32();
  assert(max <= 64);
  const uint32_t count = p4_table_expired(&f->table, now, handles, max);
  for (uint32_t i = 0; i < count; i++) printf("%" PRIu32 " ", handles[i]);
  putchar('\n');
}

/* Fill the bytes behind the data, as a meter would, and look at them. */
static void extra(fixture *f, bool fill) {
  p4_entry *e = p4_table_entry(&f->table, script_u32());
  const uint32_t bytes = script_u32();
  assert(e != NULL);
  if (fill) memset(e->data + f->info.data_bytes, 0xa5, bytes);
  uint32_t sum = 0;
  for (uint32_t i = 0; i < bytes; i++) sum += e->data[f->info.data_bytes + i];
  printf("%" PRIu32 "\n", sum);
}

static void discard(fixture *f) {
  p4_table_free(&f->table);
  p4_profile_free(&f->profile);
}

static void set_default(fixture *f) {
  const uint32_t action = script_u32();
  const uint64_t data = script_number();
  printf("%d\n", p4_table_set_default(&f->table, action, &data, script_u32()));
}

static void add_member(fixture *f) {
  uint32_t handle = P4_NONE;
  printf("%d ", p4_profile_member_add(&f->profile, 7, NULL, 0, &handle));
  printf("%" PRIu32 "\n", handle);
}

static void add_group(fixture *f) {
  uint32_t handle = P4_NONE;
  printf("%d ", p4_profile_group_add(&f->profile, NULL, 0, &handle));
  printf("%" PRIu32 "\n", handle);
}

int main(void) {
  static fixture f;
  static char line[8192];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      discard(&f);
      f = (fixture){0};
      script_end();
    } else if (!strcmp(op, "init")) {
      init(&f);
    } else if (!strcmp(op, "insert")) {
      insert(&f);
    } else if (!strcmp(op, "modify")) {
      modify(&f);
    } else if (!strcmp(op, "delete")) {
      delete(&f);
    } else if (!strcmp(op, "moves")) {
      print_moves(&f.table);
    } else if (!strcmp(op, "work")) {
      print_work();
    } else if (!strcmp(op, "packet")) {
      packet(&f);
    } else if (!strcmp(op, "entry")) {
      print_entry(&f, p4_table_entry(&f.table, script_u32()));
    } else if (!strcmp(op, "count")) {
      printf("%" PRIu32 "\n", p4_table_count(&f.table));
    } else if (!strcmp(op, "clear")) {
      printf("%d\n", p4_table_clear(&f.table));
    } else if (!strcmp(op, "expired")) {
      expired(&f);
    } else if (!strcmp(op, "next")) {
      printf("%" PRIu64 "\n", p4_table_next_expiry(&f.table, script_number()));
    } else if (!strcmp(op, "fill")) {
      extra(&f, true);
    } else if (!strcmp(op, "extra")) {
      extra(&f, false);
    } else if (!strcmp(op, "default")) {
      print_entry(&f, f.table.default_entry);
    } else if (!strcmp(op, "set_default")) {
      set_default(&f);
    } else if (!strcmp(op, "member")) {
      add_member(&f);
    } else if (!strcmp(op, "group")) {
      add_group(&f);
    } else if (!strcmp(op, "delete_member")) {
      printf("%d\n", p4_profile_member_delete(&f.profile, script_u32()));
    } else if (!strcmp(op, "delete_group")) {
      printf("%d\n", p4_profile_group_delete(&f.profile, script_u32()));
    } else if (!strcmp(op, "resolve")) {
      p4_entry *e = p4_table_entry(&f.table, script_u32());
      p4_entry *member = p4_profile_member(&f.profile, e);
      printf("%" PRIu32 "\n", member != NULL ? member->handle : P4_NONE);
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  discard(&f);
  return 0;
}
