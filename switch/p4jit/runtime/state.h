/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything a program's state consists of: made anew, exchanged and freed as a whole.
 */
#ifndef P4JIT_STATE_H
#define P4JIT_STATE_H

#include "device.h"

typedef struct p4_state {
  p4_table *tables;
  p4_profile *profiles;
  p4_counter_array *counters;
  p4_meter_array *meters;
  p4_register_array *registers;
  struct p4_value_set *value_sets;
  void *scratch;
} p4_state;

/* An empty state for a program; `random` seeds its tables. False without memory: free what there is. */
bool p4_state_new(p4_state *, const p4_program *, uint64_t *random);
void p4_state_free(p4_state *, const p4_program *);

/* The state a device has, and giving it another. */
p4_state p4_state_of(const p4_device *);
void p4_state_use(p4_device *, const p4_state *);

#endif
