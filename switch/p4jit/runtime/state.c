/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *zeroed(size_t count, size_t size) { return calloc(count ? count : 1, size); }

/* Large arrays are mapped, so that pages nobody uses cost nothing and failure is a return value. */
static void *map_cells(uint64_t bytes) {
  if (bytes == 0) bytes = 1;
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static uint32_t cell_bytes(uint32_t width) {
  for (uint32_t bytes = 1; bytes <= 16; bytes *= 2)
    if (width <= bytes * 8) return bytes;
  return (width + 63) / 64 * 8;
}

void p4_state_free(p4_state *s, const p4_program *program) {
  if (program != NULL) {
    for (uint32_t i = 0; s->tables && i < program->table_count; i++) p4_table_free(&s->tables[i]);
    for (uint32_t i = 0; s->profiles && i < program->profile_count; i++) p4_profile_free(&s->profiles[i]);
    for (uint32_t i = 0; s->meters && i < program->meter_count; i++) p4_meter_array_free(&s->meters[i]);
    for (uint32_t i = 0; s->value_sets && i < program->value_set_count; i++) p4_value_set_free(&s->value_sets[i]);
    for (uint32_t i = 0; s->counters && i < program->counter_count; i++)
      if (s->counters[i].cells) munmap(s->counters[i].cells, (uint64_t)s->counters[i].size * sizeof(p4_counter) + !s->counters[i].size);
    for (uint32_t i = 0; s->registers && i < program->register_count; i++)
      if (s->registers[i].cells)
        munmap(s->registers[i].cells, (uint64_t)s->registers[i].size * s->registers[i].cell_bytes + !s->registers[i].size);
  }
  free(s->tables);
  free(s->profiles);
  free(s->counters);
  free(s->meters);
  free(s->registers);
  free(s->value_sets);
  free(s->scratch);
}

bool p4_state_new(p4_state *s, const p4_program *program, uint64_t *random) {
  s->tables = zeroed(program->table_count, sizeof *s->tables);
  s->profiles = zeroed(program->profile_count, sizeof *s->profiles);
  s->counters = zeroed(program->counter_count, sizeof *s->counters);
  s->meters = zeroed(program->meter_count, sizeof *s->meters);
  s->registers = zeroed(program->register_count, sizeof *s->registers);
  s->value_sets = zeroed(program->value_set_count, sizeof *s->value_sets);
  s->scratch = aligned_alloc(64, ((size_t)program->phv_bytes + 63) / 64 * 64);
  if (!s->tables || !s->profiles || !s->counters || !s->meters || !s->registers || !s->value_sets || !s->scratch)
    return false;
  memset(s->scratch, 0, program->phv_bytes);
  for (uint32_t i = 0; i < program->profile_count; i++)
    if (p4_profile_init(&s->profiles[i], program->profile_data_bytes[i], program->profile_sizes[i]) != 0) return false;
  for (uint32_t i = 0; i < program->table_count; i++) {
    const p4_table_info *info = &program->tables[i];
    p4_profile *profile = info->profile == P4_NONE ? NULL : &s->profiles[info->profile];
    uint32_t extra = info->direct_meter == P4_NONE ? 0 : sizeof(p4_meter);
    if (p4_table_init(&s->tables[i], info, profile, extra, p4_random_next(random)) != 0) return false;
  }
  for (uint32_t i = 0; i < program->meter_count; i++)
    if (p4_meter_array_init(&s->meters[i], program->meters[i].size, program->meters[i].width) != 0) return false;
  for (uint32_t i = 0; i < program->value_set_count; i++)
    if (p4_value_set_init(&s->value_sets[i], program->value_set_words[i]) != 0) return false;
  for (uint32_t i = 0; i < program->counter_count; i++) {
    s->counters[i].size = program->counters[i].size;
    s->counters[i].cells = map_cells((uint64_t)s->counters[i].size * sizeof(p4_counter));
    if (s->counters[i].cells == NULL) return false;
  }
  for (uint32_t i = 0; i < program->register_count; i++) {
    s->registers[i].size = program->registers[i].size;
    s->registers[i].cell_bytes = cell_bytes(program->registers[i].width);
    s->registers[i].cells = map_cells((uint64_t)s->registers[i].size * s->registers[i].cell_bytes);
    if (s->registers[i].cells == NULL) return false;
  }
  return true;
}

p4_state p4_state_of(const p4_device *d) {
  const p4_context *c = &d->context;
  return (p4_state){c->tables, c->profiles, c->counters, c->meters, c->registers, c->value_sets, d->scratch};
}

void p4_state_use(p4_device *d, const p4_state *s) {
  p4_context *c = &d->context;
  c->tables = s->tables;
  c->profiles = s->profiles;
  c->counters = s->counters;
  c->meters = s->meters;
  c->registers = s->registers;
  c->value_sets = s->value_sets;
  d->scratch = s->scratch;
}
