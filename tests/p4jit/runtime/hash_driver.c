/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"
#include "random.h"
#include "script.h"

static const struct {
  const char *name;
  uint64_t (*function)(const uint8_t *data, size_t length);
} algorithms[] = {
    {"crc16", p4_hash_crc16},
    {"crc32", p4_hash_crc32},
    {"crcCCITT", p4_hash_crcCCITT},
    {"crc8_custom", p4_hash_crc8_custom},
    {"crc16_custom", p4_hash_crc16_custom},
    {"crc32_custom", p4_hash_crc32_custom},
    {"crc64_custom", p4_hash_crc64_custom},
    {"xxh64", p4_hash_xxh64},
    {"csum16", p4_hash_csum16},
    {"cksum16", p4_hash_cksum16},
    {"xor16", p4_hash_xor16},
    {"xor32", p4_hash_xor32},
    {"identity", p4_hash_identity},
};

/* Hash bytes written in hexadecimal, at an odd address and with nothing readable behind them. */
static uint64_t hash(const char *name, const char *hex) {
  size_t length = strlen(hex) / 2;
  uint8_t *buffer = malloc(length + 1), *data = buffer + 1;
  assert(buffer != NULL);
  for (size_t i = 0; i < length; i++) {
    char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
    data[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  uint64_t result = 0;
  bool found = false;
  for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
    if (!strcmp(name, algorithms[i].name)) {
      result = algorithms[i].function(data, length);
      found = true;
    }
  assert(found);
  free(buffer);
  return result;
}

int main(void) {
  static char line[(1 << 18) + 64];
  uint64_t state[4] = {0};
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      script_end();
    } else if (!strcmp(op, "seed")) {
      p4_random_seed(state, script_number());
      printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", state[0], state[1], state[2], state[3]);
    } else if (!strcmp(op, "state")) {
      for (unsigned i = 0; i < 4; i++)
        state[i] = script_number();
    } else if (!strcmp(op, "random")) {
      printf("%" PRIu64 "\n", p4_random_next(state));
    } else if (!strcmp(op, "between")) {
      uint64_t low = script_number();
      printf("%" PRIu64 "\n", p4_random_between(state, low, script_number()));
    } else { /* an algorithm, then the data, which may be empty */
      char *hex = strtok(NULL, " ");
      printf("%" PRIu64 "\n", hash(op, hex != NULL ? hex : ""));
    }
  }
  return 0;
}
