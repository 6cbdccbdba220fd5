/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "worker.h"

static p4_packet *take_frame(p4_device *d, uint32_t port, const uint8_t *frame, uint32_t length) {
  p4_packet *pkt = p4_pool_get(&d->pool);
  if (pkt == NULL) {
    d->drops.no_buffer++;
    return NULL;
  }
  memcpy(pkt->data, frame, length);
  pkt->length = length;
  pkt->ingress_port = (uint16_t)port;
  pkt->arrival = d->now;
  return pkt;
}

int p4_control_inject(p4_device *d, uint32_t port, const uint8_t *frame, uint32_t length, uint64_t passes) {
  if (port >= P4_MAX_PORTS || length > P4_FRAME_BYTES) return P4_INVALID;
  p4_device_lock(d);
  p4_packet *pkt = take_frame(d, port, frame, length);
  int status = pkt != NULL ? 0 : P4_NO_MEMORY;
  if (pkt != NULL) p4_device_accept(d, &pkt, 1);
  if (!p4_device_settle(d, passes)) {
    p4_device_flush(d);
    status = p4_system_error(ELOOP);
  }
  p4_device_unlock(d);
  if (!d->config.virtual_clock) p4_worker_wake(d);
  return status;
}

int p4_control_run_until(p4_device *d, uint64_t time, uint64_t passes) {
  if (!d->config.virtual_clock) return P4_INVALID;
  int status = 0;
  p4_device_lock(d);
  for (;;) {
    uint64_t next = p4_device_next_event(d);
    if (next > time) break;
    if (next > d->now) d->now = next;
    d->context.now = d->now;
    if (!p4_device_settle(d, passes)) {
      p4_device_flush(d);
      status = p4_system_error(ELOOP);
      break;
    }
  }
  if (time > d->now && time != P4_NEVER) d->now = time;
  d->context.now = d->now;
  p4_device_unlock(d);
  return status;
}

uint64_t p4_control_next_event(p4_device *d) {
  p4_device_lock(d);
  uint64_t next = p4_device_next_event(d);
  p4_device_unlock(d);
  return next;
}

uint64_t p4_control_outputs(p4_device *d, uint8_t *out, uint64_t room) {
  p4_device_lock(d);
  p4_outputs *o = &d->outputs;
  uint64_t moved = 0;
  if (room == 0) {
    moved = o->used;
  } else {
    while (moved < o->used) {
      uint32_t length;
      memcpy(&length, o->bytes + moved + 12, 4);
      if (moved + 16 + length > room) break;
      moved += 16 + (uint64_t)length;
    }
    if (moved > 0) memcpy(out, o->bytes, moved);
    memmove(o->bytes, o->bytes + moved, o->used - moved);
    o->used -= moved;
  }
  p4_device_unlock(d);
  return moved;
}

void p4_control_discard_outputs(p4_device *d, bool discard) {
  p4_device_lock(d);
  d->outputs.discard = discard;
  p4_device_unlock(d);
}

uint64_t p4_control_flood(p4_device *d, uint32_t port, const uint8_t *frames, const uint32_t *lengths, uint32_t count,
                          uint32_t rounds) {
  uint64_t start = p4_clock(CLOCK_MONOTONIC);
  p4_device_lock(d);
  for (uint32_t round = 0; round < rounds; round++) {
    const uint8_t *frame = frames;
    for (uint32_t i = 0; i < count;) {
      p4_packet *burst[P4_DRAIN_EVERY];
      uint32_t taken = 0;
      for (; taken < P4_DRAIN_EVERY && i < count; frame += lengths[i++]) {
        burst[taken] = take_frame(d, port, frame, lengths[i]);
        taken += burst[taken] != NULL;
      }
      p4_device_accept(d, burst, taken);
      p4_device_settle(d, P4_BURST);
    }
  }
  p4_device_unlock(d);
  return p4_clock(CLOCK_MONOTONIC) - start;
}
