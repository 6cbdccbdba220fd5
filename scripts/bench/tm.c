/* SPDX-License-Identifier: Apache-2.0
 *
 * What a packet's way through the traffic manager costs: one enqueue, one dequeue, one charge. See
 * scripts/bench_tm. Packets and queues stay in the cache, as they do in a switch that keeps up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tm.h"

#define PAIRS 20000000u
#define LENGTH 1500u

typedef struct run {
  p4_tm *tm;
  uint64_t now; /* ns of virtual time */
} run;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "bench_tm: %s\n", what);
  exit(1);
}

static void enqueue(run *r, uint32_t port, uint32_t queue, p4_packet *packet) {
  if (p4_tm_enqueue(r->tm, port, queue, packet, r->now) < 0)
    fail("a queue is full");
}

/* The next packet, after the time it takes to become eligible. */
static p4_packet *dequeue(run *r) {
  p4_packet *packet;
  while ((packet = p4_tm_dequeue(r->tm, r->now)) == NULL)
    if ((r->now = p4_tm_next_event(r->tm, r->now)) == P4_NEVER)
      fail("no packet");
  p4_tm_charge(r->tm, packet->egress_port, packet->queue, packet->length, 1);
  return packet;
}

/* Keep `depth` packets in each of `queues` queues of each of `ports` ports; what leaves comes back to where it
 * was. Strict priority serves the last queue of each port. */
static void backlogged(run *r, p4_packet *packets, uint32_t ports, uint32_t queues, uint32_t depth) {
  for (uint32_t p = 0; p < ports; p++)
    for (uint32_t q = 0; q < queues; q++)
      for (uint32_t i = 0; i < depth; i++)
        enqueue(r, p, q, packets++);
  for (uint32_t i = 0; i < PAIRS; i++) {
    p4_packet *packet = dequeue(r);
    enqueue(r, packet->egress_port, packet->queue, packet);
  }
}

/* Fill all eight queues, then serve them all. */
static void fill_and_drain(run *r, p4_packet *packets) {
  for (uint32_t round = 0; round < PAIRS / 256; round++) {
    for (uint32_t i = 0; i < 256; i++)
      enqueue(r, 0, i % 8, &packets[i]);
    for (uint32_t i = 0; i < 256; i++)
      dequeue(r);
  }
}

static void shape(run *r, uint32_t ports, uint64_t rate) {
  p4_queue_config config = {.depth_packets = P4_TM_DEPTH, .shaping = {.rate_bits = rate, .burst_bytes = 3 * LENGTH}};
  for (uint32_t p = 0; p < ports; p++)
    if (p4_tm_set_queue(r->tm, p, 0, &config, 0) < 0 || p4_tm_set_port(r->tm, p, &config.shaping, 0) < 0)
      fail("no memory");
}

enum scenario { IDLE, DRAINED, PRIORITIES, PORTS, SHAPED, SHAPED_PORTS, SCENARIOS };

static const char *const names[SCENARIOS] = {
    [IDLE] = "one queue, no backlog, no shaping",
    [DRAINED] = "8 queues filled, then drained",
    [PRIORITIES] = "8 queues backlogged, the last served",
    [PORTS] = "64 ports backlogged",
    [SHAPED] = "queue and port shaped at 100 Gb/s",
    [SHAPED_PORTS] = "64 ports, queue and port shaped at 10 Gb/s",
};

static void perform(enum scenario scenario, run *r, p4_packet *packets) {
  switch (scenario) {
  case IDLE:
    for (uint32_t i = 0; i < PAIRS; i++) {
      enqueue(r, 1, 0, packets);
      dequeue(r);
    }
    break;
  case DRAINED:
    fill_and_drain(r, packets);
    break;
  case PRIORITIES:
    backlogged(r, packets, 1, 8, 32);
    break;
  case PORTS:
    backlogged(r, packets, 64, 1, 4);
    break;
  case SHAPED:
    shape(r, 1, 100000000000u);
    backlogged(r, packets, 1, 1, 32);
    break;
  case SHAPED_PORTS:
    shape(r, 64, 10000000000u);
    backlogged(r, packets, 64, 1, 4);
    break;
  default:
    fail("no such scenario");
  }
}

static void discard(void *context, p4_packet *packet) {
  (void)context;
  (void)packet;
}

int main(void) {
  p4_packet *packets = calloc(256, sizeof *packets);
  if (packets == NULL)
    fail("no memory");
  for (uint32_t i = 0; i < 256; i++)
    packets[i].length = LENGTH;
  printf("%-44s %8s\n", "enqueue + dequeue + charge", "ns");
  for (enum scenario scenario = 0; scenario < SCENARIOS; scenario++) {
    run r = {.tm = p4_tm_new(8)};
    if (r.tm == NULL)
      fail("no memory");
    double start = seconds();
    perform(scenario, &r, packets);
    printf("%-44s %8.1f\n", names[scenario], (seconds() - start) / PAIRS * 1e9);
    p4_tm_flush(r.tm, P4_NONE, discard, NULL);
    p4_tm_free(r.tm);
  }
  free(packets);
  return 0;
}
