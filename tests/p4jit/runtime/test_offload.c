/* SPDX-License-Identifier: Apache-2.0
 *
 * Offload functions on frames that lie: mutated TCP and UDP frames, each in memory of exactly its size, so that
 * AddressSanitizer sees one byte too many. Also that a guessed checksum leaves finished frames alone.
 *
 *   test_offload COUNT SEED
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offload.h"

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

#define LONGEST 400u
#define ROOM 200u

/* xorshift64 (Marsaglia 2003) */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static uint32_t below(uint64_t *state, uint32_t bound) { return (uint32_t)(next_random(state) % bound); }

static uint32_t make_frame(uint64_t *state, uint8_t *frame) {
  uint32_t length = 14 + below(state, LONGEST - 14), at = 12;
  for (uint32_t i = 0; i < length; i++) frame[i] = (uint8_t)next_random(state);
  for (uint32_t tags = below(state, 4); tags > 0 && at + 6 <= length; tags--, at += 4) {
    frame[at] = 0x81;
    frame[at + 1] = 0;
  }
  bool ipv4 = below(state, 2) == 0, tcp = below(state, 2) == 0;
  uint32_t header = ipv4 ? 20 : 40;
  if (at + 2 + header > length) return length;
  uint8_t *network = frame + at + 2;
  uint32_t total = length - at - 2;
  frame[at] = ipv4 ? 0x08 : 0x86;
  frame[at + 1] = ipv4 ? 0x00 : 0xdd;
  network[0] = ipv4 ? 0x45 : 0x60;
  uint32_t field = ipv4 ? total : total - header;
  network[ipv4 ? 2 : 4] = (uint8_t)(field >> 8);
  network[ipv4 ? 3 : 5] = (uint8_t)field;
  if (ipv4) network[6] = network[7] = 0;
  network[ipv4 ? 9 : 6] = tcp ? 6 : 17;
  if (tcp && header + 13 <= total) network[header + 12] = 0x50;
  for (uint32_t lies = below(state, 4); lies > 0; lies--) frame[below(state, length)] = (uint8_t)next_random(state);
  return length;
}

static void cut(uint64_t *state, const uint8_t *frame, uint32_t length) {
  p4_segments segments;
  uint32_t transport = below(state, 8) == 0 ? (uint32_t)next_random(state) : 14 + below(state, 80);
  uint32_t size = below(state, 8) == 0 ? (uint32_t)next_random(state) : below(state, ROOM);
  if (!p4_segments_begin(&segments, frame, length, transport, size, below(state, 2) == 0, ROOM)) return;
  uint8_t *out = malloc(ROOM);
  CHECK(out != NULL);
  uint32_t payload = 0, bytes;
  while ((bytes = p4_segments_next(&segments, frame, out)) != 0) {
    CHECK(bytes > segments.headers && bytes <= ROOM);
    CHECK(memcmp(out + segments.headers, frame + segments.headers + payload, bytes - segments.headers) == 0);
    payload += bytes - segments.headers;
  }
  CHECK(payload == length - segments.headers);
  free(out);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  uint64_t state = strtoull(argv[2], NULL, 0) | 1;
  uint32_t guessed = 0;
  for (long left = strtol(argv[1], NULL, 0); left > 0; left--) {
    uint8_t frame[LONGEST];
    uint32_t length = make_frame(&state, frame);
    uint8_t *exact = malloc(length), *copy = malloc(length);
    CHECK(exact != NULL && copy != NULL);
    memcpy(exact, frame, length);
    cut(&state, exact, length);
    p4_guess_checksum(exact, length);
    memcpy(copy, exact, length);
    p4_guess_checksum(exact, length); /* finished now, if it was not */
    CHECK(memcmp(exact, copy, length) == 0);
    guessed += memcmp(exact, frame, length) != 0;
    uint32_t start = below(&state, length + 2), offset = below(&state, length + 2);
    CHECK(p4_complete_checksum(exact, length, start, offset) == (start + offset + 2 <= length));
    free(exact);
    free(copy);
  }
  printf("%u\n", guessed);
  return 0;
}
