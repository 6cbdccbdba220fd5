/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program under sanitizers on mutated packets, with control calls in between.
 *
 *   driver PROGRAM.so CONTROL FRAMES SEED COUNT
 *
 * CONTROL holds control calls, FRAMES the packets to start from; scripts/fuzz_packets writes both. The calls
 * are made at the start, and single ones again, or their opposites, while packets pass. Any call may be
 * refused: what must not happen is a crash, a hang or an access out of bounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

enum { PORTS = 8, PASSES = 64, CONTROL_EVERY = 64, MAX_FRAME = 2048 };

enum call { INSERT = 1, MEMBER, GROUP, MULTICAST, SESSION, VALUE_SET, DEFAULT };

typedef struct blob {
  uint8_t *bytes;
  size_t length;
  size_t *starts; /* of its records, each led by its length (uint32_t) */
  size_t count;
} blob;

static blob read_blob(const char *path) {
  blob b = {0};
  FILE *f = fopen(path, "rb");
  if (f == NULL) {
    perror(path);
    exit(2);
  }
  fseek(f, 0, SEEK_END);
  b.length = (size_t)ftell(f);
  rewind(f);
  b.bytes = malloc(b.length + 1);
  b.starts = calloc(b.length / 4 + 1, sizeof *b.starts);
  if (b.bytes == NULL || b.starts == NULL || fread(b.bytes, 1, b.length, f) != b.length) exit(2);
  fclose(f);
  for (size_t at = 0; at + 4 <= b.length;) {
    uint32_t length;
    memcpy(&length, b.bytes + at, 4);
    b.starts[b.count++] = at;
    at += 4 + length;
  }
  return b;
}

/* Reads a record field by field. */
typedef struct reader {
  const uint8_t *p;
} reader;

static uint32_t u32(reader *r) {
  uint32_t v;
  memcpy(&v, r->p, 4);
  r->p += 4;
  return v;
}

/* A byte string in memory of its own, so that reading past its end is seen. */
static void *bytes(reader *r, uint32_t *length) {
  *length = u32(r);
  uint8_t *copy = aligned_alloc(8, (*length + 8) / 8 * 8);
  if (copy == NULL) exit(2);
  memcpy(copy, r->p, *length);
  r->p += *length;
  return copy;
}

static void call(p4_device *d, const blob *control, size_t index, bool undo, uint64_t *random) {
  reader r = {control->bytes + control->starts[index] + 4};
  uint32_t op = u32(&r), handle, length, count;
  switch (op) {
    case INSERT: {
      uint32_t table = u32(&r), prefix = u32(&r), priority = u32(&r), action = u32(&r), timeout = u32(&r), n;
      uint64_t *key = bytes(&r, &n), *mask = bytes(&r, &length), *data = bytes(&r, &count);
      if (undo)
        p4_control_delete(d, table, (uint32_t)(p4_random_next(random) % 64));
      else if (p4_control_insert(d, table, key, length ? mask : NULL, prefix, priority, action, data, count, timeout,
                                 &handle) == 0 &&
               p4_random_next(random) % 4 == 0)
        p4_control_modify(d, table, handle, action, data, count, timeout);
      free(key);
      free(mask);
      free(data);
      break;
    }
    case DEFAULT: {
      uint32_t table = u32(&r), action = u32(&r);
      void *data = bytes(&r, &length);
      p4_control_set_default(d, table, action, data, length);
      free(data);
      break;
    }
    case MEMBER: {
      uint32_t profile = u32(&r), action = u32(&r);
      void *data = bytes(&r, &length);
      if (undo)
        p4_control_member_delete(d, profile, (uint32_t)(p4_random_next(random) % 16));
      else
        p4_control_member_add(d, profile, action, data, length, &handle);
      free(data);
      break;
    }
    case GROUP: {
      uint32_t profile = u32(&r);
      p4_group_member *members = bytes(&r, &length);
      if (undo)
        p4_control_group_delete(d, profile, (uint32_t)(p4_random_next(random) % 8));
      else
        p4_control_group_add(d, profile, members, length / sizeof *members, &handle);
      free(members);
      break;
    }
    case MULTICAST:
    case SESSION: {
      uint32_t id = u32(&r), class_of_service = u32(&r), truncate = u32(&r);
      p4_copy *copies = bytes(&r, &length);
      p4_replica replicas[16];
      count = length / sizeof *copies < 16 ? (uint32_t)(length / sizeof *copies) : 16;
      for (uint32_t i = 0; i < count; i++) replicas[i] = (p4_replica){copies[i], 0, NULL};
      if (op == MULTICAST)
        undo ? p4_control_delete_group(d, id) : p4_control_set_group(d, id, replicas, count);
      else
        undo ? p4_control_delete_session(d, id)
             : p4_control_set_session(d, id, replicas, count, class_of_service, truncate);
      free(copies);
      break;
    }
    case VALUE_SET: {
      uint32_t value_set = u32(&r), n = u32(&r);
      uint64_t *values = bytes(&r, &length), *masks = bytes(&r, &length);
      p4_control_set_value_set(d, value_set, values, masks, undo ? 0 : n);
      free(values);
      free(masks);
      break;
    }
    default:
      exit(2);
  }
}

/* Frames that left by the ports there are. */
static uint64_t sent_by(p4_device *d) {
  uint64_t sent = 0;
  for (uint32_t port = 0; port < PORTS; port++) {
    p4_port_stats stats;
    p4_link_status link;
    uint32_t up;
    if (p4_control_port_status(d, port, &stats, &up, &link) == 0) sent += stats.tx_packets;
  }
  return sent;
}

/* Returns the frames that a port which it removed had sent. */
static uint64_t shake(p4_device *d, const blob *control, uint64_t *random) {
  uint64_t sent = 0;
  if (control->count > 0) call(d, control, p4_random_next(random) % control->count, p4_random_next(random) % 2, random);
  uint32_t port = (uint32_t)(p4_random_next(random) % PORTS);
  char error[256];
  switch (p4_random_next(random) % 8) {
    case 0: {
      p4_link_config link = {.rate = p4_random_next(random) % 1000000000u,
                             .delay = p4_random_next(random) % 1000000u,
                             .jitter = p4_random_next(random) % 1000000u,
                             .loss = (double)(p4_random_next(random) % 100) / 100,
                             .limit = (uint32_t)(p4_random_next(random) % 100)};
      p4_control_port_link(d, port, p4_random_next(random) % 2 ? &link : NULL);
      break;
    }
    case 1: {
      uint64_t before = sent_by(d);
      p4_control_port_remove(d, port);
      sent = before - sent_by(d);
      break;
    }
    case 2:
    case 3:
      p4_control_port_add(d, port, P4_PORT_MEMORY, "fuzz", NULL, NULL, NULL, error, sizeof error);
      break;
    case 4: {
      p4_queue_config queue = {.depth_packets = (uint32_t)(p4_random_next(random) % 100),
                               .shaping = {p4_random_next(random) % 1000000000u, p4_random_next(random) % 10000, 0, 0}};
      p4_control_port_queue(d, port, (uint32_t)(p4_random_next(random) % 8), &queue);
      break;
    }
    default:
      p4_control_run_until(d, p4_device_now(d) + p4_random_next(random) % 10000000u, PASSES);
  }
  uint8_t events[65536];
  while (p4_events_read(p4_device_events(d), events, sizeof events, 0) > 0) {
  }
  return sent;
}

/* A packet near one of the given ones. Returns its length. */
static uint32_t mutate(const blob *frames, uint8_t *out, uint64_t *random) {
  size_t index = p4_random_next(random) % frames->count;
  uint32_t length;
  memcpy(&length, frames->bytes + frames->starts[index], 4);
  if (length > MAX_FRAME) length = MAX_FRAME;
  memcpy(out, frames->bytes + frames->starts[index] + 4, length);
  for (uint64_t edits = p4_random_next(random) % 6; edits > 0; edits--) {
    uint64_t at = length ? p4_random_next(random) % length : 0;
    switch (p4_random_next(random) % 6) {
      case 0:
        if (length) out[at] ^= (uint8_t)(1u << p4_random_next(random) % 8);
        break;
      case 1:
        if (length) out[at] = (uint8_t)p4_random_next(random);
        break;
      case 2:
        length = (uint32_t)at;
        break;
      case 3:
        while (length < MAX_FRAME && p4_random_next(random) % 32) out[length++] = (uint8_t)p4_random_next(random);
        break;
      case 4: {
        static const uint8_t special[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        for (uint64_t n = p4_random_next(random) % 8; n > 0 && at < length; n--)
          out[at++] = special[p4_random_next(random) % sizeof special];
        break;
      }
      default: {
        size_t other = p4_random_next(random) % frames->count;
        uint32_t more;
        memcpy(&more, frames->bytes + frames->starts[other], 4);
        if (at + more > MAX_FRAME) more = (uint32_t)(MAX_FRAME - at);
        memcpy(out + at, frames->bytes + frames->starts[other] + 4, more);
        if (at + more > length) length = (uint32_t)(at + more);
      }
    }
  }
  return length;
}

int main(int count, char **words) {
  if (count != 6) return 2;
  blob control = read_blob(words[2]), frames = read_blob(words[3]);
  uint64_t random[4], sent = 0, packets = strtoull(words[5], NULL, 10);
  p4_random_seed(random, strtoull(words[4], NULL, 10));
  char error[1024];
  p4_device_config config = {.virtual_clock = true, .queues = 8, .drop_port = 511, .cpu_port = 500, .seed = 1};
  p4_device *d = p4_device_new(&config, error, sizeof error);
  if (d == NULL || p4_device_load(d, words[1], error, sizeof error) != 0) {
    fprintf(stderr, "%s\n", error);
    return 2;
  }
  p4_control_discard_outputs(d, true);
  for (uint32_t port = 0; port < PORTS; port++)
    p4_control_port_add(d, port, P4_PORT_MEMORY, "fuzz", NULL, NULL, NULL, error, sizeof error);
  for (size_t i = 0; i < control.count; i++) call(d, &control, i, false, random);
  for (uint64_t i = 0; i < packets; i++) {
    uint8_t scratch[MAX_FRAME];
    uint32_t length = mutate(&frames, scratch, random);
    /* Exactly as long as the packet, so that reading past its end is seen. */
    uint8_t *frame = malloc(length ? length : 1);
    if (frame == NULL) return 2;
    memcpy(frame, scratch, length);
    p4_control_inject(d, (uint32_t)(p4_random_next(random) % PORTS), frame, length, PASSES);
    free(frame);
    if (i % CONTROL_EVERY == 0) sent += shake(d, &control, random);
  }
  printf("%llu\n", (unsigned long long)(sent + sent_by(d)));
  p4_device_free(d);
  free(control.bytes);
  free(control.starts);
  free(frames.bytes);
  free(frames.starts);
  return 0;
}
