/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <string.h>

#include "worker.h"

/* Evaluate under the lock. */
#define LOCKED(d, type, expression)   \
  do {                                \
    p4_device_lock(d);                \
    type result_ = (expression);      \
    p4_device_unlock(d);              \
    return result_;                   \
  } while (0)

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
