/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

static int system_error(int error) { return -P4_ERRNO_BASE - error; }

/* ---- the lock ------------------------------------------------------------------------------------------ */

void p4_device_lock(p4_device *d) {
  atomic_fetch_add_explicit(&d->waiting, 1, memory_order_relaxed);
  pthread_mutex_lock(&d->lock);
  atomic_fetch_sub_explicit(&d->waiting, 1, memory_order_relaxed);
  p4_device_time(d);
}

void p4_device_unlock(p4_device *d) { pthread_mutex_unlock(&d->lock); }

/* Evaluate under the lock. */
#define LOCKED(d, type, expression)   \
  do {                                \
    p4_device_lock(d);                \
    type result_ = (expression);      \
    p4_device_unlock(d);              \
    return result_;                   \
  } while (0)

/* ---- life ------------------------------------------------------------------------------------------------ */

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch_descriptors(p4_device *d) {
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0xffffffffu};
  epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->wake_fd, &e);
  if (d->monitoring) {
    e.data.u64 = 0xfffffffeu;
    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->monitor.fd, &e);
  }
}

p4_device *p4_device_new(const p4_device_config *config, char *error, uint64_t error_bytes) {
  p4_device *d = calloc(1, sizeof *d);
  if (d == NULL) goto no_memory;
  d->config = *config;
  d->epoll_fd = d->wake_fd = -1;
  d->input_tail = &d->input_head;
  d->next_idle_check = P4_NEVER;
  d->context.device = d;
  d->context.drop_port = config->drop_port;
  p4_random_seed(d->context.random_state, config->seed);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&d->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  d->tm = p4_tm_new(config->queues);
  d->replication = p4_replication_new();
  d->events = p4_events_new();
  if (d->tm == NULL || d->replication == NULL || d->events == NULL) goto no_memory;
  /* Before a program is loaded frames are read only to be dropped. */
  if (p4_pool_init(&d->pool, P4_POOL_PACKETS, 64, P4_MIN_HEADROOM) != 0) goto no_memory;
  if (!config->virtual_clock) {
    d->start = clock_ns(CLOCK_MONOTONIC);
    d->epoch = clock_ns(CLOCK_REALTIME);
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->epoll_fd < 0 || d->wake_fd < 0) {
      snprintf(error, error_bytes, "cannot create a device: %s", strerror(errno));
      p4_device_free(d);
      return NULL;
    }
    if (p4_monitor_open(&d->monitor, error, error_bytes) != 0) {
      p4_device_free(d);
      return NULL;
    }
    d->monitoring = true;
    watch_descriptors(d);
  }
  return d;
no_memory:
  snprintf(error, error_bytes, "not enough memory for a device");
  p4_device_free(d);
  return NULL;
}

/* Everything a program's state consists of, made anew or freed as a whole. */
typedef struct state {
  p4_table *tables;
  p4_profile *profiles;
  p4_counter_array *counters;
  p4_meter_array *meters;
  p4_register_array *registers;
  struct p4_value_set *value_sets;
  void *scratch;
} state;

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

static void state_free(state *s, const p4_program *program) {
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

static bool state_new(state *s, const p4_program *program, uint64_t *random) {
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

static state take_state(p4_device *d) {
  const p4_context *c = &d->context;
  return (state){c->tables, c->profiles, c->counters, c->meters, c->registers, c->value_sets, d->scratch};
}

static void put_state(p4_device *d, const state *s) {
  p4_context *c = &d->context;
  c->tables = s->tables;
  c->profiles = s->profiles;
  c->counters = s->counters;
  c->meters = s->meters;
  c->registers = s->registers;
  c->value_sets = s->value_sets;
  d->scratch = s->scratch;
}

static void free_slot(p4_device *d, p4_port_slot *slot) {
  if (slot->link != NULL) p4_link_free(slot->link, NULL, NULL);
  p4_port_close(slot->port);
  (void)d;
  free(slot);
}

void p4_device_free(p4_device *d) {
  if (d == NULL) return;
  p4_device_stop(d);
  if (d->tm != NULL) {
    p4_device_flush(d);
    p4_tm_free(d->tm);
  }
  for (uint32_t i = 0; i < d->port_count; i++) free_slot(d, d->slots[d->port_numbers[i]]);
  if (d->program != NULL) {
    state s = take_state(d);
    state_free(&s, d->program);
    dlclose(d->library);
  }
  if (d->replication != NULL) p4_replication_free(d->replication);
  p4_events_free(d->events);
  p4_pool_free(&d->pool);
  if (d->monitoring) p4_monitor_close(&d->monitor);
  if (d->epoll_fd >= 0) close(d->epoll_fd);
  if (d->wake_fd >= 0) close(d->wake_fd);
  free(d->outputs.bytes);
  pthread_mutex_destroy(&d->lock);
  free(d);
}

int p4_device_load(p4_device *d, const char *path, char *error, uint64_t error_bytes) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    snprintf(error, error_bytes, "cannot load the compiled program: %s", dlerror());
    return P4_INVALID;
  }
  const p4_program *program = dlsym(library, P4_PROGRAM_SYMBOL);
  if (program == NULL || program->abi_version != P4_ABI_VERSION) {
    snprintf(error, error_bytes, "%s is not a program for this version of p4jit: compile it again", path);
    dlclose(library);
    return P4_INVALID;
  }
  state fresh = {0};
  p4_pool pool = {0};
  uint64_t random[4];
  p4_random_seed(random, d->config.seed);
  /* Slack: a port may put back a VLAN tag in front of a frame. */
  if (!state_new(&fresh, program, random) ||
      p4_pool_init(&pool, P4_POOL_PACKETS, program->phv_bytes, program->headroom + 16) != 0) {
    snprintf(error, error_bytes, "not enough memory for the program's tables and arrays");
    state_free(&fresh, program);
    dlclose(library);
    return P4_NO_MEMORY;
  }
  p4_device_lock(d);
  p4_device_flush(d);
  state old = take_state(d);
  const p4_program *old_program = d->program;
  void *old_library = d->library;
  p4_pool old_pool = d->pool;
  put_state(d, &fresh);
  d->pool = pool;
  d->program = program;
  d->library = library;
  d->next_idle_check = P4_NEVER;
  memset(&d->drops, 0, sizeof d->drops);
  p4_replication_clear(d->replication);
  for (uint32_t i = 0; i < d->port_count; i++)
    for (uint32_t k = 0; k < program->profile_count; k++) {
      const p4_port *port = d->slots[d->port_numbers[i]]->port;
      p4_profile_port_changed(&d->context.profiles[k], port->number, port->up);
    }
  p4_device_unlock(d);
  p4_pool_free(&old_pool);
  if (old_program != NULL) {
    state_free(&old, old_program);
    dlclose(old_library);
  }
  return 0;
}

int p4_device_start(p4_device *d) {
  int error = p4_worker_start(d);
  return error == 0 ? 0 : system_error(-error);
}

void p4_device_stop(p4_device *d) { p4_worker_stop(d); }

uint64_t p4_device_now(p4_device *d) { LOCKED(d, uint64_t, d->now); }

uint64_t p4_device_epoch(p4_device *d) { return d->epoch; }

void p4_device_drops(p4_device *d, p4_drops *out) {
  p4_device_lock(d);
  *out = d->drops;
  p4_device_unlock(d);
}

uint32_t p4_device_drop_port(p4_device *d) { return d->config.drop_port; }

p4_events *p4_device_events(p4_device *d) { return d->events; }

void p4_log(p4_context *c, uint32_t message, uint32_t count, const uint64_t *values, uint32_t signs) {
  p4_events_put(c->device->events, P4_EVENT_LOG, message, signs, c->now, values, count * 16);
}

/* ---- tables -------------------------------------------------------------------------------------------------- */

static p4_table *table_at(p4_device *d, uint32_t table) {
  return d->program != NULL && table < d->program->table_count ? &d->context.tables[table] : NULL;
}

static p4_entry *entry_at(p4_device *d, uint32_t table, uint32_t handle) {
  p4_table *t = table_at(d, table);
  if (t == NULL) return NULL;
  return handle == P4_DEFAULT_ENTRY ? t->default_entry : p4_table_entry(t, handle);
}

static void schedule_idle_check(p4_device *d, p4_table *t) {
  uint64_t next = p4_table_next_expiry(t, d->now);
  if (next < d->next_idle_check) {
    d->next_idle_check = next;
    p4_worker_wake(d);
  }
}

int p4_control_insert(p4_device *d, uint32_t table, const uint64_t *key, const uint64_t *mask, uint32_t prefix_length,
                      uint32_t priority, uint32_t action, const void *data, uint32_t data_length, uint64_t timeout,
                      uint32_t *handle) {
  p4_device_lock(d);
  p4_table *t = table_at(d, table);
  int status = P4_NOT_FOUND;
  if (t != NULL) {
    status = p4_table_insert(t, key, mask, prefix_length, priority, action, data, data_length, timeout, d->now, handle);
    if (status == 0 && timeout != 0) schedule_idle_check(d, t);
  }
  p4_device_unlock(d);
  return status;
}

int p4_control_modify(p4_device *d, uint32_t table, uint32_t handle, uint32_t action, const void *data,
                      uint32_t data_length, uint64_t timeout) {
  p4_device_lock(d);
  p4_table *t = table_at(d, table);
  int status = P4_NOT_FOUND;
  if (t != NULL) {
    status = p4_table_modify(t, handle, action, data, data_length, timeout, d->now);
    if (status == 0 && timeout != 0) schedule_idle_check(d, t);
  }
  p4_device_unlock(d);
  return status;
}

int p4_control_delete(p4_device *d, uint32_t table, uint32_t handle) {
  p4_device_lock(d);
  p4_table *t = table_at(d, table);
  int status = t == NULL ? P4_NOT_FOUND : p4_table_delete(t, handle);
  p4_device_unlock(d);
  return status;
}

int p4_control_set_default(p4_device *d, uint32_t table, uint32_t action, const void *data, uint32_t data_length) {
  p4_device_lock(d);
  p4_table *t = table_at(d, table);
  int status = t == NULL ? P4_NOT_FOUND : p4_table_set_default(t, action, data, data_length);
  p4_device_unlock(d);
  return status;
}

int p4_control_entry_counter(p4_device *d, uint32_t table, uint32_t handle, p4_counter *out) {
  p4_device_lock(d);
  const p4_entry *e = entry_at(d, table, handle);
  if (e != NULL) *out = (p4_counter){e->packets, e->bytes};
  p4_device_unlock(d);
  return e != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_set_entry_counter(p4_device *d, uint32_t table, uint32_t handle, const p4_counter *value) {
  p4_device_lock(d);
  p4_entry *e = entry_at(d, table, handle);
  if (e != NULL) {
    e->packets = value->packets;
    e->bytes = value->bytes;
  }
  p4_device_unlock(d);
  return e != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_entry_idle(p4_device *d, uint32_t table, uint32_t handle, uint64_t *ns) {
  p4_device_lock(d);
  const p4_entry *e = entry_at(d, table, handle);
  if (e != NULL) *ns = d->now > e->last_hit ? d->now - e->last_hit : 0;
  p4_device_unlock(d);
  return e != NULL ? 0 : P4_NOT_FOUND;
}

static int read_rates(const p4_meter *m, p4_meter_rates *out) {
  *out = m->rates;
  return m->configured ? 0 : 1;
}

static p4_meter *entry_meter_at(p4_device *d, uint32_t table, uint32_t handle) {
  p4_entry *e = entry_at(d, table, handle);
  if (e == NULL || d->program->tables[table].direct_meter == P4_NONE) return NULL;
  return (p4_meter *)(void *)(e->data + d->program->tables[table].data_bytes);
}

int p4_control_set_entry_meter(p4_device *d, uint32_t table, uint32_t handle, const p4_meter_rates *rates) {
  p4_device_lock(d);
  p4_meter *m = entry_meter_at(d, table, handle);
  int status = m == NULL ? P4_NOT_FOUND : p4_meter_configure(m, rates, d->now) == 0 ? 0 : P4_INVALID;
  p4_device_unlock(d);
  return status;
}

int p4_control_entry_meter(p4_device *d, uint32_t table, uint32_t handle, p4_meter_rates *out) {
  p4_device_lock(d);
  const p4_meter *m = entry_meter_at(d, table, handle);
  int status = m == NULL ? P4_NOT_FOUND : read_rates(m, out);
  p4_device_unlock(d);
  return status;
}

/* ---- action profiles ------------------------------------------------------------------------------------------- */

static p4_profile *profile_at(p4_device *d, uint32_t profile) {
  return d->program != NULL && profile < d->program->profile_count ? &d->context.profiles[profile] : NULL;
}

#define WITH_PROFILE(d, profile, call)                      \
  do {                                                      \
    p4_device_lock(d);                                      \
    p4_profile *p = profile_at(d, profile);                 \
    int status_ = p == NULL ? P4_NOT_FOUND : (call);        \
    p4_device_unlock(d);                                    \
    return status_;                                         \
  } while (0)

int p4_control_member_add(p4_device *d, uint32_t profile, uint32_t action, const void *data, uint32_t length,
                          uint32_t *handle) {
  WITH_PROFILE(d, profile, p4_profile_member_add(p, action, data, length, handle));
}

int p4_control_member_modify(p4_device *d, uint32_t profile, uint32_t handle, uint32_t action, const void *data,
                             uint32_t length) {
  WITH_PROFILE(d, profile, p4_profile_member_modify(p, handle, action, data, length));
}

int p4_control_member_delete(p4_device *d, uint32_t profile, uint32_t handle) {
  WITH_PROFILE(d, profile, p4_profile_member_delete(p, handle));
}

int p4_control_group_add(p4_device *d, uint32_t profile, const p4_group_member *members, uint32_t count,
                         uint32_t *handle) {
  WITH_PROFILE(d, profile, p4_profile_group_add(p, members, count, handle));
}

int p4_control_group_modify(p4_device *d, uint32_t profile, uint32_t handle, const p4_group_member *members,
                            uint32_t count) {
  WITH_PROFILE(d, profile, p4_profile_group_modify(p, handle, members, count));
}

int p4_control_group_delete(p4_device *d, uint32_t profile, uint32_t handle) {
  WITH_PROFILE(d, profile, p4_profile_group_delete(p, handle));
}

/* ---- externs ----------------------------------------------------------------------------------------------------- */

static bool within(uint32_t start, uint32_t count, uint32_t size) { return start <= size && count <= size - start; }

int p4_control_counters(p4_device *d, uint32_t counter, uint32_t start, uint32_t count, p4_counter *out) {
  p4_device_lock(d);
  bool found = d->program != NULL && counter < d->program->counter_count &&
               within(start, count, d->context.counters[counter].size);
  if (found && count > 0) memcpy(out, d->context.counters[counter].cells + start, count * sizeof *out);
  p4_device_unlock(d);
  return found ? 0 : P4_NOT_FOUND;
}

int p4_control_set_counter(p4_device *d, uint32_t counter, uint32_t index, const p4_counter *value) {
  p4_device_lock(d);
  bool found = d->program != NULL && counter < d->program->counter_count && index < d->context.counters[counter].size;
  if (found) d->context.counters[counter].cells[index] = *value;
  p4_device_unlock(d);
  return found ? 0 : P4_NOT_FOUND;
}

static p4_meter *meter_at(p4_device *d, uint32_t meter, uint32_t index) {
  bool found = d->program != NULL && meter < d->program->meter_count && index < d->context.meters[meter].size;
  return found ? &d->context.meters[meter].cells[index] : NULL;
}

int p4_control_meter(p4_device *d, uint32_t meter, uint32_t index, p4_meter_rates *out) {
  p4_device_lock(d);
  const p4_meter *m = meter_at(d, meter, index);
  int status = m == NULL ? P4_NOT_FOUND : read_rates(m, out);
  p4_device_unlock(d);
  return status;
}

int p4_control_set_meter(p4_device *d, uint32_t meter, uint32_t index, const p4_meter_rates *rates) {
  p4_device_lock(d);
  p4_meter *m = meter_at(d, meter, index);
  int status = m == NULL ? P4_NOT_FOUND : p4_meter_configure(m, rates, d->now) == 0 ? 0 : P4_INVALID;
  p4_device_unlock(d);
  return status;
}

int p4_control_registers(p4_device *d, uint32_t reg, uint32_t start, uint32_t count, void *out) {
  p4_device_lock(d);
  bool found = d->program != NULL && reg < d->program->register_count &&
               within(start, count, d->context.registers[reg].size);
  if (found && count > 0) {
    const p4_register_array *r = &d->context.registers[reg];
    memcpy(out, (const uint8_t *)r->cells + (size_t)start * r->cell_bytes, (size_t)count * r->cell_bytes);
  }
  p4_device_unlock(d);
  return found ? 0 : P4_NOT_FOUND;
}

int p4_control_set_register(p4_device *d, uint32_t reg, uint32_t index, const void *cell) {
  p4_device_lock(d);
  bool found = d->program != NULL && reg < d->program->register_count && index < d->context.registers[reg].size;
  if (found) {
    const p4_register_array *r = &d->context.registers[reg];
    memcpy((uint8_t *)r->cells + (size_t)index * r->cell_bytes, cell, r->cell_bytes);
  }
  p4_device_unlock(d);
  return found ? 0 : P4_NOT_FOUND;
}

int p4_control_set_value_set(p4_device *d, uint32_t value_set, const uint64_t *values, const uint64_t *masks,
                             uint32_t count) {
  p4_device_lock(d);
  bool found = d->program != NULL && value_set < d->program->value_set_count;
  int status = found ? p4_value_set_replace(&d->context.value_sets[value_set], values, masks, count) : P4_NOT_FOUND;
  p4_device_unlock(d);
  return status;
}

/* ---- replication --------------------------------------------------------------------------------------------------- */

int p4_control_set_group(p4_device *d, uint32_t group, const p4_replica *replicas, uint32_t count) {
  LOCKED(d, int, p4_replication_set_group(d->replication, group, replicas, count) == 0 ? 0 : P4_INVALID);
}

int p4_control_delete_group(p4_device *d, uint32_t group) {
  LOCKED(d, int, p4_replication_delete_group(d->replication, group) == 0 ? 0 : P4_NOT_FOUND);
}

int p4_control_set_session(p4_device *d, uint32_t session, const p4_replica *replicas, uint32_t count,
                           uint32_t class_of_service, uint32_t truncate) {
  LOCKED(d, int,
         p4_replication_set_session(d->replication, session, replicas, count, class_of_service, truncate) == 0
             ? 0
             : P4_INVALID);
}

int p4_control_delete_session(p4_device *d, uint32_t session) {
  LOCKED(d, int, p4_replication_delete_session(d->replication, session) == 0 ? 0 : P4_NOT_FOUND);
}

/* ---- ports ----------------------------------------------------------------------------------------------------------- */

static void keep_output(void *owner, uint16_t port, const uint8_t *data, uint32_t length, uint64_t now) {
  p4_device *d = owner;
  p4_outputs *o = &d->outputs;
  if (o->discard) return;
  size_t size = 16 + (size_t)length;
  if (o->used + size > o->room) {
    size_t room = o->room ? o->room : 65536;
    while (room < o->used + size) room *= 2;
    uint8_t *bytes = realloc(o->bytes, room);
    if (bytes == NULL) {
      d->drops.no_buffer++;
      return;
    }
    o->bytes = bytes;
    o->room = room;
  }
  const uint32_t head[2] = {port, length};
  memcpy(o->bytes + o->used, &now, 8);
  memcpy(o->bytes + o->used + 8, head, 8);
  memcpy(o->bytes + o->used + 16, data, length);
  o->used += size;
}

static p4_port_slot *slot_at(p4_device *d, uint32_t number) {
  return number < P4_MAX_PORTS ? d->slots[number] : NULL;
}

static void tell_profiles(p4_device *d, uint32_t number, bool up) {
  p4_port_map_put(&d->up, number, up);
  for (uint32_t k = 0; d->program != NULL && k < d->program->profile_count; k++)
    p4_profile_port_changed(&d->context.profiles[k], number, up);
}

int p4_control_port_add(p4_device *d, uint32_t number, uint32_t kind, const char *name, const char *input,
                        const char *output, const char *capture, char *error, uint64_t error_bytes) {
  if (number >= P4_MAX_PORTS || number == d->config.drop_port || number == d->config.cpu_port) {
    snprintf(error, error_bytes, "port %u cannot be used: ports are 0 to %u, without the drop port and the CPU port",
             number, P4_MAX_PORTS - 1);
    return P4_INVALID;
  }
  p4_port_config config = {
      .kind = (enum p4_port_kind)kind,
      .number = (uint16_t)number,
      .name = name,
      .input = input,
      .output = output,
      .capture = capture,
      .epoch = d->epoch,
      .deliver = keep_output,
      .owner = d,
  };
  p4_device_lock(d);
  int status = P4_EXISTS;
  p4_port_slot *slot = NULL;
  if (d->slots[number] != NULL) {
    snprintf(error, error_bytes, "port %u is in use", number);
    goto out;
  }
  status = P4_NO_MEMORY;
  slot = calloc(1, sizeof *slot);
  if (slot == NULL) {
    snprintf(error, error_bytes, "not enough memory for port %u", number);
    goto out;
  }
  status = P4_INVALID;
  slot->port = p4_port_open(&config, error, error_bytes);
  if (slot->port == NULL) {
    free(slot);
    goto out;
  }
  slot->retry = P4_NEVER;
  d->slots[number] = slot;
  d->port_numbers[d->port_count++] = (uint16_t)number;
  tell_profiles(d, number, slot->port->up);
  p4_worker_watch(d, slot->port, -1);
  p4_worker_wake(d);
  status = 0;
out:
  p4_device_unlock(d);
  return status;
}

static void release_packet(void *device, p4_packet *pkt) {
  p4_device *d = device;
  p4_pool_put(&d->pool, pkt);
}

int p4_control_port_remove(p4_device *d, uint32_t number) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) {
    p4_tm_flush(d->tm, number, release_packet, d);
    if (slot->link != NULL) p4_link_flush(slot->link, release_packet, d);
    for (uint32_t i = 0; i < slot->waiting_count; i++) release_packet(d, slot->waiting[i]);
    if (slot->retry != P4_NEVER) p4_tm_block(d->tm, number, false);
    p4_tm_hold(d->tm, number, 0);
    d->slots[number] = NULL;
    for (uint32_t i = 0; i < d->port_count; i++)
      if (d->port_numbers[i] == number) {
        memmove(d->port_numbers + i, d->port_numbers + i + 1, (d->port_count - i - 1) * sizeof d->port_numbers[0]);
        d->port_count--;
        break;
      }
    tell_profiles(d, number, false);
    int fd = p4_port_fd(slot->port);
    if (fd >= 0 && d->epoll_fd >= 0) epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    free_slot(d, slot);
  }
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_port_link(p4_device *d, uint32_t number, const p4_link_config *config) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  int status = P4_NOT_FOUND;
  if (slot != NULL) {
    status = 0;
    if (config == NULL) {
      if (slot->link != NULL) p4_link_free(slot->link, release_packet, d);
      slot->link = NULL;
      p4_tm_hold(d->tm, number, 0);
    } else if (slot->link != NULL) {
      status = p4_link_configure(slot->link, config) == 0 ? 0 : P4_INVALID;
    } else {
      slot->link = p4_link_new(config);
      if (slot->link == NULL) status = P4_INVALID;
    }
    p4_worker_wake(d);
  }
  p4_device_unlock(d);
  return status;
}

int p4_control_port_shape(p4_device *d, uint32_t number, const p4_shaping *shaping) {
  p4_device_lock(d);
  int status = p4_tm_set_port(d->tm, number, shaping, d->now) == 0 ? 0 : P4_INVALID;
  p4_worker_wake(d);
  p4_device_unlock(d);
  return status;
}

int p4_control_port_queue(p4_device *d, uint32_t number, uint32_t queue, const p4_queue_config *config) {
  p4_device_lock(d);
  int status = p4_tm_set_queue(d->tm, number, queue, config, d->now) == 0 ? 0 : P4_INVALID;
  p4_worker_wake(d);
  p4_device_unlock(d);
  return status;
}

int p4_control_port_status(p4_device *d, uint32_t number, p4_port_stats *stats, uint32_t *up, p4_link_status *link) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) {
    *stats = *p4_port_statistics(slot->port);
    *up = slot->port->up;
    memset(link, 0, sizeof *link);
    if (slot->link != NULL) p4_link_status_get(slot->link, link);
  }
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_queue_status(p4_device *d, uint32_t number, uint32_t queue, p4_queue_status *status) {
  p4_device_lock(d);
  p4_tm_status(d->tm, number, queue, status);
  p4_device_unlock(d);
  return 0;
}

int p4_control_port_note(p4_device *d, uint32_t number, char *out, uint64_t room) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) snprintf(out, room, "%s", slot->port->note);
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}

/* ---- packets and time ---------------------------------------------------------------------------------------------------- */

static bool accept_frame(p4_device *d, uint32_t port, const uint8_t *frame, uint32_t length) {
  p4_packet *pkt = p4_pool_get(&d->pool);
  if (pkt == NULL) {
    d->drops.no_buffer++;
    return false;
  }
  memcpy(pkt->data, frame, length);
  pkt->length = length;
  pkt->ingress_port = (uint16_t)port;
  pkt->arrival = d->now;
  p4_device_accept(d, pkt);
  return true;
}

int p4_control_inject(p4_device *d, uint32_t port, const uint8_t *frame, uint32_t length, uint64_t passes) {
  if (port >= P4_MAX_PORTS || length > P4_FRAME_BYTES) return P4_INVALID;
  p4_device_lock(d);
  int status = accept_frame(d, port, frame, length) ? 0 : P4_NO_MEMORY;
  if (!p4_device_settle(d, passes)) {
    p4_device_flush(d);
    status = system_error(ELOOP);
  }
  p4_device_unlock(d);
  if (!d->config.virtual_clock) p4_worker_wake(d);
  return status;
}

int p4_control_run_until(p4_device *d, uint64_t time, uint64_t passes) {
  if (!d->config.virtual_clock) return P4_INVALID;
  int status = 0;
  p4_device_lock(d);
  for (;;) {
    uint64_t next = p4_device_next_event(d);
    if (next > time) break;
    if (next > d->now) d->now = next;
    d->context.now = d->now;
    if (!p4_device_settle(d, passes)) {
      p4_device_flush(d);
      status = system_error(ELOOP);
      break;
    }
  }
  if (time > d->now && time != P4_NEVER) d->now = time;
  d->context.now = d->now;
  p4_device_unlock(d);
  return status;
}

uint64_t p4_control_next_event(p4_device *d) { LOCKED(d, uint64_t, p4_device_next_event(d)); }

uint64_t p4_control_outputs(p4_device *d, uint8_t *out, uint64_t room) {
  p4_device_lock(d);
  p4_outputs *o = &d->outputs;
  uint64_t moved = 0;
  if (room == 0) {
    moved = o->used;
  } else {
    while (moved < o->used) {
      uint32_t length;
      memcpy(&length, o->bytes + moved + 12, 4);
      if (moved + 16 + length > room) break;
      moved += 16 + (uint64_t)length;
    }
    if (moved > 0) memcpy(out, o->bytes, moved);
    memmove(o->bytes, o->bytes + moved, o->used - moved);
    o->used -= moved;
  }
  p4_device_unlock(d);
  return moved;
}

void p4_control_discard_outputs(p4_device *d, bool discard) {
  p4_device_lock(d);
  d->outputs.discard = discard;
  p4_device_unlock(d);
}

uint64_t p4_control_flood(p4_device *d, uint32_t port, const uint8_t *frames, const uint32_t *lengths, uint32_t count,
                          uint32_t rounds) {
  uint64_t start = clock_ns(CLOCK_MONOTONIC);
  p4_device_lock(d);
  for (uint32_t round = 0; round < rounds; round++) {
    const uint8_t *frame = frames;
    for (uint32_t i = 0; i < count; i++) {
      accept_frame(d, port, frame, lengths[i]);
      frame += lengths[i];
      if (i % P4_DRAIN_EVERY == P4_DRAIN_EVERY - 1) p4_device_settle(d, P4_BURST);
    }
    p4_device_settle(d, P4_BURST);
  }
  p4_device_unlock(d);
  return clock_ns(CLOCK_MONOTONIC) - start;
}
