/* SPDX-License-Identifier: Apache-2.0
 *
 * What the drivers share: reading a script, and packets.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* The next operation's name in the line, or NULL at the end of the input. */
static inline char *script_next(char *line, size_t room) {
  if (fgets(line, (int)room, stdin) == NULL)
    return NULL;
  line[strcspn(line, "\n")] = 0;
  return strtok(line, " ");
}

/* The operation's next argument. */
static inline uint64_t script_number(void) {
  char *word = strtok(NULL, " ");
  assert(word != NULL);
  return strtoull(word, NULL, 0);
}

static inline char *script_word(void) {
  char *word = strtok(NULL, " ");
  assert(word != NULL);
  return word;
}

static inline void script_end(void) {
  puts("end");
  fflush(stdout);
}

/* A packet that says who it is by its ingress_length. */
static inline p4_packet *script_packet(uint32_t identity, uint32_t length) {
  p4_packet *packet = calloc(1, sizeof *packet);
  assert(packet != NULL);
  packet->ingress_length = identity;
  packet->length = length;
  return packet;
}

static inline void script_release(void *context, p4_packet *packet) {
  (void)context;
  free(packet);
}

#endif
