/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include <stdlib.h>

#define NANO 1000000000u

int p4_meter_array_init(p4_meter_array *array, uint32_t size, bool bytes) {
  array->bytes = bytes;
  array->size = 0;
  array->cells = calloc(size > 0 ? size : 1, sizeof *array->cells);
  if (array->cells == NULL)
    return -1;
  array->size = size;
  return 0;
}

void p4_meter_array_free(p4_meter_array *array) {
  free(array->cells);
  array->cells = NULL;
  array->size = 0;
}

int p4_meter_configure(p4_meter *meter, const p4_meter_rates *rates, uint64_t now) {
  if (rates == NULL) {
    *meter = (p4_meter){0};
    return 0;
  }
  if (rates->cir > rates->pir || rates->pir > INT64_MAX || rates->cburst > INT64_MAX || rates->pburst > INT64_MAX)
    return -1;
  *meter = (p4_meter){
      .rates = *rates,
      .committed = (p4_u128)rates->cburst * NANO,
      .peak = (p4_u128)rates->pburst * NANO,
      .last = now,
      .configured = 1,
  };
  return 0;
}

/* Tokens after `elapsed` ns: below 2^93 before, at most 2^127 more. */
static p4_u128 fill(p4_u128 tokens, uint64_t rate, uint64_t burst, uint64_t elapsed) {
  p4_u128 most = (p4_u128)burst * NANO;
  tokens += (p4_u128)rate * elapsed;
  return tokens < most ? tokens : most;
}

uint8_t p4_meter_run(p4_meter *meter, bool bytes, uint32_t length, uint64_t now) {
  if (!meter->configured)
    return P4_GREEN;
  if (now > meter->last) {
    uint64_t elapsed = now - meter->last;
    meter->committed = fill(meter->committed, meter->rates.cir, meter->rates.cburst, elapsed);
    meter->peak = fill(meter->peak, meter->rates.pir, meter->rates.pburst, elapsed);
    meter->last = now;
  }
  p4_u128 need = (p4_u128)(bytes ? length : 1) * NANO;
  if (meter->peak < need)
    return P4_RED;
  meter->peak -= need;
  if (meter->committed < need)
    return P4_YELLOW;
  meter->committed -= need;
  return P4_GREEN;
}
