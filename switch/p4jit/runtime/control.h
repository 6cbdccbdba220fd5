/* SPDX-License-Identifier: Apache-2.0
 *
 * What the control plane calls, from any thread. Functions that can fail return 0 or a negative code: one of
 * enum p4_status, or for the operating system's refusals -errno - P4_ERRNO_BASE.
 */
#ifndef P4JIT_CONTROL_H
#define P4JIT_CONTROL_H

#include "device.h"

#define P4_ERRNO_BASE 1000

P4_INLINE int p4_system_error(int error) { return -P4_ERRNO_BASE - error; }

/* The entry handle of a table's default entry. */
#define P4_DEFAULT_ENTRY P4_NONE

#define P4_API __attribute__((visibility("default")))

/* ---- life ------------------------------------------------------------------------------------------- */

P4_API p4_device *p4_device_new(const p4_device_config *, char *error, uint64_t error_bytes);
P4_API void p4_device_free(p4_device *);
/* Load a program's shared library: all state but the ports' starts anew. On failure nothing changes. */
P4_API int p4_device_load(p4_device *, const char *path, char *error, uint64_t error_bytes);
P4_API int p4_device_start(p4_device *);
P4_API void p4_device_stop(p4_device *);
P4_API void p4_device_lock(p4_device *);
P4_API void p4_device_unlock(p4_device *);
P4_API uint64_t p4_device_now(p4_device *);
P4_API uint64_t p4_device_epoch(p4_device *);
P4_API void p4_device_drops(p4_device *, p4_drops *);

/* ---- tables ------------------------------------------------------------------------------------------- */

P4_API int p4_control_insert(p4_device *, uint32_t table, const uint64_t *key, const uint64_t *mask,
                             uint32_t prefix_length, uint32_t priority, uint32_t action, const void *data,
                             uint32_t data_length, uint64_t timeout, uint32_t *handle);
P4_API int p4_control_modify(p4_device *, uint32_t table, uint32_t handle, uint32_t action, const void *data,
                             uint32_t data_length, uint64_t timeout);
P4_API int p4_control_delete(p4_device *, uint32_t table, uint32_t handle);
P4_API int p4_control_set_default(p4_device *, uint32_t table, uint32_t action, const void *data,
                                  uint32_t data_length);
P4_API int p4_control_entry_counter(p4_device *, uint32_t table, uint32_t handle, p4_counter *);
P4_API int p4_control_set_entry_counter(p4_device *, uint32_t table, uint32_t handle, const p4_counter *);
P4_API int p4_control_entry_idle(p4_device *, uint32_t table, uint32_t handle, uint64_t *ns);
/* rates NULL: none. Reading: returns 1 when the meter has none. */
P4_API int p4_control_set_entry_meter(p4_device *, uint32_t table, uint32_t handle, const p4_meter_rates *);
P4_API int p4_control_entry_meter(p4_device *, uint32_t table, uint32_t handle, p4_meter_rates *);

/* ---- action profiles ------------------------------------------------------------------------------------ */

P4_API int p4_control_member_add(p4_device *, uint32_t profile, uint32_t action, const void *data, uint32_t length,
                                 uint32_t *handle);
P4_API int p4_control_member_modify(p4_device *, uint32_t profile, uint32_t handle, uint32_t action,
                                    const void *data, uint32_t length);
P4_API int p4_control_member_delete(p4_device *, uint32_t profile, uint32_t handle);
P4_API int p4_control_group_add(p4_device *, uint32_t profile, const p4_group_member *, uint32_t count,
                                uint32_t *handle);
P4_API int p4_control_group_modify(p4_device *, uint32_t profile, uint32_t handle, const p4_group_member *,
                                   uint32_t count);
P4_API int p4_control_group_delete(p4_device *, uint32_t profile, uint32_t handle);

/* ---- externs ---------------------------------------------------------------------------------------------- */

P4_API int p4_control_counters(p4_device *, uint32_t counter, uint32_t start, uint32_t count, p4_counter *out);
P4_API int p4_control_set_counter(p4_device *, uint32_t counter, uint32_t index, const p4_counter *);
P4_API int p4_control_meter(p4_device *, uint32_t meter, uint32_t index, p4_meter_rates *); /* 1: none */
P4_API int p4_control_set_meter(p4_device *, uint32_t meter, uint32_t index, const p4_meter_rates *);
/* Cells as they lie in memory: cell_bytes each. */
P4_API int p4_control_registers(p4_device *, uint32_t reg, uint32_t start, uint32_t count, void *out);
P4_API int p4_control_set_register(p4_device *, uint32_t reg, uint32_t index, const void *cell);
P4_API int p4_control_set_value_set(p4_device *, uint32_t value_set, const uint64_t *values, const uint64_t *masks,
                                    uint32_t count);

/* ---- replication ------------------------------------------------------------------------------------------- */

P4_API int p4_control_set_group(p4_device *, uint32_t group, const p4_replica *, uint32_t count);
P4_API int p4_control_delete_group(p4_device *, uint32_t group);
P4_API int p4_control_set_session(p4_device *, uint32_t session, const p4_replica *, uint32_t count,
                                  uint32_t class_of_service, uint32_t truncate);
P4_API int p4_control_delete_session(p4_device *, uint32_t session);

/* ---- ports ------------------------------------------------------------------------------------------------- */

P4_API int p4_control_port_add(p4_device *, uint32_t number, uint32_t kind, const char *name, const char *input,
                               const char *output, const char *capture, char *error, uint64_t error_bytes);
P4_API int p4_control_port_remove(p4_device *, uint32_t number);
/* config NULL: no link. */
P4_API int p4_control_port_link(p4_device *, uint32_t number, const p4_link_config *);
P4_API int p4_control_port_shape(p4_device *, uint32_t number, const p4_shaping *);
P4_API int p4_control_port_queue(p4_device *, uint32_t number, uint32_t queue, const p4_queue_config *);
P4_API int p4_control_port_status(p4_device *, uint32_t number, p4_port_stats *, uint32_t *up, p4_link_status *);
P4_API int p4_control_queue_status(p4_device *, uint32_t number, uint32_t queue, p4_queue_status *);
/* Why AF_XDP fell back to AF_PACKET; "" otherwise. */
P4_API int p4_control_port_note(p4_device *, uint32_t number, char *out, uint64_t room);

/* ---- packets, time, events ----------------------------------------------------------------------------------- */

/* A frame arrives on a port, now. -P4_ERRNO_BASE - ELOOP: a packet still went round after `passes` further
 * passes. */
P4_API int p4_control_inject(p4_device *, uint32_t port, const uint8_t *frame, uint32_t length, uint64_t passes);
/* Virtual clock: do all that is due up to a time, and stop there. */
P4_API int p4_control_run_until(p4_device *, uint64_t time, uint64_t passes);
P4_API uint64_t p4_control_next_event(p4_device *);
/* Move whole output records (device.h) to `out`; returns the bytes moved. With room 0, the bytes there are. */
P4_API uint64_t p4_control_outputs(p4_device *, uint8_t *out, uint64_t room);
P4_API void p4_control_discard_outputs(p4_device *, bool discard);
P4_API p4_events *p4_device_events(p4_device *);
/* Inject `count` frames in turn, `rounds` times, as fast as they go: for benchmarks. Returns the ns it took. */
P4_API uint64_t p4_control_flood(p4_device *, uint32_t port, const uint8_t *frames, const uint32_t *lengths,
                                 uint32_t count, uint32_t rounds);

#endif
