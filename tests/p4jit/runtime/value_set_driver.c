/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"
#include "value_set.h"

#define MAX_WORDS 4
#define MAX_MEMBERS 16

static void read_words(uint64_t *words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) words[i] = script_number();
}

int main(void) {
  struct p4_value_set set = {0};
  char line[4096];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      p4_value_set_free(&set);
      script_end();
    } else if (!strcmp(op, "init")) {
      const uint32_t words = (uint32_t)script_number();
      assert(words <= MAX_WORDS);
      printf("%d\n", p4_value_set_init(&set, words));
    } else if (!strcmp(op, "replace")) {
      uint64_t values[MAX_MEMBERS * MAX_WORDS], masks[MAX_MEMBERS * MAX_WORDS];
      const uint32_t count = (uint32_t)script_number();
      assert(count <= MAX_MEMBERS);
      read_words(values, count * set.words);
      read_words(masks, count * set.words);
      printf("%d\n", p4_value_set_replace(&set, values, masks, count));
    } else if (!strcmp(op, "contains")) {
      uint64_t key[MAX_WORDS], mask[MAX_WORDS];
      read_words(key, set.words);
      const bool masked = script_number() != 0;
      if (masked) read_words(mask, set.words);
      printf("%d\n", p4_value_set_contains(&set, key, set.words, masked ? mask : NULL));
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  p4_value_set_free(&set);
  return 0;
}
