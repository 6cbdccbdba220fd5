/* SPDX-License-Identifier: Apache-2.0 */
#include "value_set.h"

#include <stdlib.h>
#include <string.h>

int p4_value_set_init(struct p4_value_set *set, uint32_t words) {
  *set = (struct p4_value_set){.words = words};
  return P4_OK;
}

void p4_value_set_free(struct p4_value_set *set) {
  free(set->members);
  *set = (struct p4_value_set){.words = set->words};
}

int p4_value_set_replace(struct p4_value_set *set, const uint64_t *values, const uint64_t *masks, uint32_t count) {
  uint64_t *members = NULL;
  const size_t words = set->words;
  /* A set whose key has no words is a set all the same: calloc of 0 may return NULL. */
  if (count != 0 && words != 0) {
    members = calloc(count, 2 * words * sizeof *members);
    if (members == NULL) return P4_NO_MEMORY;
  }
  for (size_t i = 0; i < count && words != 0; i++) {
    memcpy(members + 2 * words * i, values + words * i, words * sizeof *members);
    memcpy(members + 2 * words * i + words, masks + words * i, words * sizeof *members);
  }
  free(set->members);
  set->members = members;
  set->count = count;
  return P4_OK;
}
