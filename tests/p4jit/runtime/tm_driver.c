/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"
#include "tm.h"

static p4_shaping read_shaping(void) {
  p4_shaping shaping = {0};
  shaping.rate_bits = script_number();
  shaping.burst_bytes = script_number();
  shaping.rate_packets = script_number();
  shaping.burst_packets = script_number();
  return shaping;
}

static void print_and_free(void *context, p4_packet *packet) {
  (void)context;
  printf("%" PRIu32 " ", packet->ingress_length);
  free(packet);
}

/* Dequeue, and charge what egress makes of the packet; false if there was none. */
static bool dequeue(p4_tm *tm, bool sent, uint32_t length, uint64_t now) {
  p4_packet *packet = p4_tm_dequeue(tm, now);
  if (packet == NULL) {
    puts("-");
    return false;
  }
  assert(packet->dequeued == now);
  printf("%" PRIu32 " %u %u %" PRIu32 " %" PRIu64 "\n", packet->ingress_length, packet->egress_port, packet->queue,
         packet->dequeue_depth, packet->enqueued);
  if (sent)
    p4_tm_charge(tm, packet->egress_port, packet->queue, length, 1);
  free(packet);
  return true;
}

static void discard(p4_tm *tm) {
  if (tm != NULL)
    p4_tm_flush(tm, P4_NONE, script_release, NULL);
  p4_tm_free(tm);
}

/* Send `count` frames of `length` bytes from one queue that never empties: prints when the
 * last one left. */
static void saturate(p4_tm *tm, uint32_t port, uint32_t queue, uint32_t length, uint64_t count, uint64_t now) {
  p4_packet *packet = script_packet(0, length);
  assert(p4_tm_enqueue(tm, port, queue, packet, now) == 0);
  for (uint64_t sent = 0; sent < count;) {
    packet = p4_tm_dequeue(tm, now);
    if (packet == NULL) {
      uint64_t next = p4_tm_next_event(tm, now);
      assert(next > now && next != P4_NEVER);
      now = next;
      continue;
    }
    p4_tm_charge(tm, port, queue, length, 1);
    assert(p4_tm_enqueue(tm, port, queue, packet, now) == 0);
    sent++;
  }
  printf("%" PRIu64 "\n", now);
}

int main(void) {
  p4_tm *tm = NULL;
  uint64_t now = 0;
  char line[256];
  for (char *op; (op = script_next(line, sizeof line)) != NULL;) {
    if (!strcmp(op, "end")) {
      discard(tm);
      tm = NULL;
      now = 0;
      script_end();
    } else if (!strcmp(op, "init")) {
      tm = p4_tm_new((uint32_t)script_number());
      printf("%d\n", tm != NULL);
    } else if (!strcmp(op, "queue")) {
      uint32_t port = (uint32_t)script_number(), queue = (uint32_t)script_number();
      p4_queue_config config = {.depth_packets = (uint32_t)script_number()};
      config.depth_bytes = script_number();
      config.shaping = read_shaping();
      printf("%d\n", p4_tm_set_queue(tm, port, queue, &config, now));
    } else if (!strcmp(op, "port")) {
      uint32_t port = (uint32_t)script_number();
      p4_shaping shaping = read_shaping();
      printf("%d\n", p4_tm_set_port(tm, port, &shaping, now));
    } else if (!strcmp(op, "enqueue")) {
      uint32_t port = (uint32_t)script_number(), queue = (uint32_t)script_number();
      uint32_t identity = (uint32_t)script_number(), length = (uint32_t)script_number();
      p4_packet *packet = script_packet(identity, length);
      int result = p4_tm_enqueue(tm, port, queue, packet, now);
      printf("%d %" PRIu32 "\n", result, packet->enqueue_depth);
      if (result < 0)
        free(packet);
    } else if (!strcmp(op, "dequeue")) {
      bool sent = script_number() != 0;
      dequeue(tm, sent, (uint32_t)script_number(), now);
    } else if (!strcmp(op, "drain")) {
      uint32_t length = (uint32_t)script_number();
      while (dequeue(tm, true, length, now)) {
      }
    } else if (!strcmp(op, "block")) {
      uint32_t port = (uint32_t)script_number();
      printf("%d\n", p4_tm_block(tm, port, script_number() != 0));
    } else if (!strcmp(op, "hold")) {
      uint32_t port = (uint32_t)script_number();
      printf("%d\n", p4_tm_hold(tm, port, now + script_number()));
    } else if (!strcmp(op, "next")) {
      printf("%" PRIu64 "\n", p4_tm_next_event(tm, now));
    } else if (!strcmp(op, "wait")) {
      now += script_number();
    } else if (!strcmp(op, "clock")) {
      printf("%" PRIu64 "\n", now);
    } else if (!strcmp(op, "jump")) {
      uint64_t next = p4_tm_next_event(tm, now);
      now = next != P4_NEVER ? next : now;
    } else if (!strcmp(op, "status")) {
      uint32_t port = (uint32_t)script_number();
      p4_queue_status s;
      p4_tm_status(tm, port, (uint32_t)script_number(), &s);
      printf("%" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s.depth_packets, s.depth_bytes,
             s.sent_packets, s.sent_bytes, s.dropped);
    } else if (!strcmp(op, "totals")) {
      printf("%" PRIu64 " %" PRIu64 "\n", p4_tm_backlog(tm), p4_tm_refused(tm));
    } else if (!strcmp(op, "flush")) {
      p4_tm_flush(tm, (uint32_t)script_number(), print_and_free, NULL);
      putchar('\n');
    } else if (!strcmp(op, "saturate")) {
      uint32_t port = (uint32_t)script_number(), queue = (uint32_t)script_number();
      uint32_t length = (uint32_t)script_number();
      uint64_t count = script_number();
      saturate(tm, port, queue, length, count, now);
    } else {
      fprintf(stderr, "unknown operation %s\n", op);
      abort();
    }
  }
  discard(tm);
  return 0;
}
