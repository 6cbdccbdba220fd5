/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"
#include "script.h"

int main(void) {
  p4_meter_array array = {0};
  /* A direct meter lies 8-aligned, and no better, in its entry. */
  _Alignas(16) uint8_t entry[8 + sizeof(p4_meter)];
  p4_meter *direct = (p4_meter *)(entry + 8);
  char line[256];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      p4_meter_array_free(&array);
      script_end();
      continue;
    }
    if (!strcmp(op, "array")) {
      uint32_t size = (uint32_t)script_number();
      printf("%d\n", p4_meter_array_init(&array, size, script_number() != 0));
      memset(direct, 0, sizeof *direct);
      continue;
    }
    /* The index past the end is the direct meter. */
    uint32_t index = (uint32_t)script_number();
    p4_meter *meter = index < array.size ? &array.cells[index] : direct;
    if (!strcmp(op, "configure")) {
      p4_meter_rates rates = {.cir = script_number()};
      rates.cburst = script_number();
      rates.pir = script_number();
      rates.pburst = script_number();
      printf("%d\n", p4_meter_configure(meter, &rates, script_number()));
    } else if (!strcmp(op, "reset")) {
      printf("%d\n", p4_meter_configure(meter, NULL, script_number()));
    } else if (!strcmp(op, "run")) {
      uint32_t length = (uint32_t)script_number();
      printf("%u\n", p4_meter_run(meter, array.bytes, length, script_number()));
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  p4_meter_array_free(&array);
  return 0;
}
