/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-rate three-colour meters, colour-blind (RFC 2698, section 3), as simple_switch runs them: a packet that
 * the peak bucket cannot hold is red and takes no tokens; one that the committed bucket cannot hold is yellow
 * and takes peak tokens only. Buckets start full. A meter without rates is green.
 *
 * Tokens are counted in 1e-9 packets or bytes, so that a rate per second times a time in nanoseconds is
 * exact: rates up to 2^63 - 1 and any time neither overflow nor drift.
 */
#ifndef P4JIT_METER_H
#define P4JIT_METER_H

#include "core.h"

enum p4_colour { P4_GREEN = 0, P4_YELLOW = 1, P4_RED = 2 };

/* Packets or bytes a second, and packets or bytes; each at most INT64_MAX. */
typedef struct p4_meter_rates {
  uint64_t cir;
  uint64_t cburst;
  uint64_t pir;
  uint64_t pburst;
} p4_meter_rates;

/* Needs an alignment of 8 only, to lie behind the action data of a table entry. */
typedef p4_u128 p4_meter_tokens __attribute__((aligned(8)));

/* All zero is a meter without rates. */
typedef struct p4_meter {
  p4_meter_rates rates;
  p4_meter_tokens committed; /* 1e-9 units */
  p4_meter_tokens peak;
  uint64_t last;             /* ns, when the buckets were last filled */
  uint64_t configured;       /* 0 or 1 */
} p4_meter;

struct p4_meter_array {
  p4_meter *cells;
  uint32_t size;
  bool bytes;                /* counts bytes rather than packets */
};

/* Cells without rates. Returns 0, or -1 when there is no memory (the array is then empty). */
int p4_meter_array_init(p4_meter_array *array, uint32_t size, bool bytes);
void p4_meter_array_free(p4_meter_array *array);

/* Set the rates and fill the buckets; NULL makes the meter green again. Returns 0, or -1 and no change when
 * cir > pir or a value is above INT64_MAX. */
int p4_meter_configure(p4_meter *meter, const p4_meter_rates *rates, uint64_t now);

/* The colour (enum p4_colour) of a packet of `length` bytes. */
uint8_t p4_meter_run(p4_meter *meter, bool bytes, uint32_t length, uint64_t now);

#endif
