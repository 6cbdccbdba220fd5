/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a packet through a device, as simple_switch defines it: parser, ingress, the queues, egress,
 * deparser; and the copies and further passes that the program asks for on the way.
 */
#include <string.h>

#include "device.h"

#define INPUT_LIMIT 1024u         /* waiting resubmitted and recirculated packets, as in simple_switch */
#define DIGEST_BYTES 65536u       /* as much as a program may ask for */
#define IDLE_BATCH 256u           /* idle entries reported at a time */

uint64_t p4_device_time(p4_device *d) {
  if (!d->config.virtual_clock) {
    d->now = p4_clock(CLOCK_MONOTONIC) - d->start;
  }
  d->context.now = d->now;
  return d->now;
}

static void release(p4_device *d, p4_packet *pkt) { p4_pool_put(&d->pool, pkt); }

static void release_to(void *device, p4_packet *pkt) { release(device, pkt); }

/* ---- copies ----------------------------------------------------------------------------------------- */

static p4_packet *copy_frame(p4_device *d, const p4_packet *pkt) {
  p4_packet *copy = p4_pool_get(&d->pool);
  if (P4_UNLIKELY(copy == NULL)) {
    d->drops.no_buffer++;
    return NULL;
  }
  struct { uint8_t *buffer, *data; void *phv; uint32_t capacity; } own = {copy->buffer, copy->data, copy->phv,
                                                                         copy->capacity};
  *copy = *pkt;
  copy->next = NULL;
  copy->buffer = own.buffer;
  copy->phv = own.phv;
  /* The same headroom as the original, so that what fitted there fits here. */
  ptrdiff_t offset = pkt->data - pkt->buffer;
  copy->data = own.buffer + offset;
  copy->capacity = own.capacity + (uint32_t)(own.data - own.buffer) - (uint32_t)offset;
  memcpy(copy->data, pkt->data, pkt->length);
  return copy;
}

static void clear_decisions(p4_packet *pkt) {
  pkt->clone = false;
  pkt->clone_fields = 0;
  pkt->resubmit_fields = 0;
  pkt->recirculate_fields = 0;
  pkt->digest = 0;
  pkt->failed_assertion = false;
}

/* Metadata zero but for one field list; headers are the next parser's business. */
static void keep_fields(p4_device *d, p4_packet *pkt, uint32_t list) {
  const p4_program *program = d->program;
  program->reset_metadata(d->scratch);
  program->copy_fields(list, d->scratch, pkt->phv);
  memcpy(pkt->phv, d->scratch, program->phv_bytes);
}

static void enqueue(p4_device *d, p4_packet *pkt, uint32_t port, uint32_t priority) {
  if (P4_UNLIKELY(priority >= d->config.queues)) {
    if (!d->config.clamp_priority) {
      d->drops.priority++;
      release(d, pkt);
      return;
    }
    priority = d->config.queues - 1;
  }
  if (P4_UNLIKELY(port >= P4_MAX_PORTS)) {
    d->drops.no_port++;
    release(d, pkt);
    return;
  }
  pkt->egress_port = (uint16_t)port;
  pkt->queue = (uint8_t)priority;
  if (P4_UNLIKELY(p4_tm_enqueue(d->tm, port, priority, pkt, d->now) != 0)) {
    d->drops.queue_full++;
    release(d, pkt);
  }
}

/* Send a copy of `pkt` to every replica; the last one takes the packet itself. */
static void replicate(p4_device *d, p4_packet *pkt, const p4_replica_set *set, uint32_t priority) {
  for (uint32_t i = 0; i < set->count; i++) {
    p4_copy to = p4_replica_choose(&set->replicas[i], &d->up);
    p4_packet *copy = pkt;
    if (i + 1 < set->count) {
      copy = copy_frame(d, pkt);
      if (copy == NULL) continue;
      memcpy(copy->phv, pkt->phv, d->program->phv_bytes);
    }
    copy->egress_rid = to.rid;
    copy->replicated = true;
    enqueue(d, copy, to.port, priority);
  }
  if (set->count == 0) release(d, pkt);
}

static void send_clone(p4_device *d, p4_packet *clone, const p4_replica_set *session, uint8_t type) {
  clone->instance_type = type;
  clear_decisions(clone);
  clone->truncate_to = session->truncate ? session->truncate : UINT32_MAX;
  uint32_t priority = d->program->priority(clone->phv);
  if (session->class_of_service != 0) priority = session->class_of_service;
  replicate(d, clone, session, priority);
}

static void queue_for_ingress(p4_device *d, p4_packet *pkt, uint8_t type) {
  if (d->input_count >= INPUT_LIMIT) {
    d->drops.input_full++;
    release(d, pkt);
    return;
  }
  pkt->instance_type = type;
  pkt->next = NULL;
  *d->input_tail = pkt;
  d->input_tail = &pkt->next;
  d->input_count++;
}

/* ---- ingress ------------------------------------------------------------------------------------------ */

static void clone_ingress(p4_device *d, p4_packet *pkt) {
  const p4_replica_set *session = p4_replication_session(d->replication, pkt->clone_session);
  if (session == NULL || session->count == 0) return;
  /* The frame is as it arrived: only the deparser writes to it. */
  p4_packet *clone = copy_frame(d, pkt);
  if (clone == NULL) return;
  clone->packet_length = clone->ingress_length;
  d->program->reparse(&d->context, clone);
  d->program->copy_fields(pkt->clone_fields, clone->phv, pkt->phv);
  send_clone(d, clone, session, P4_INGRESS_CLONE);
}

static void learn(p4_device *d, const p4_packet *pkt) {
  uint8_t bytes[DIGEST_BYTES];
  uint32_t length = d->program->digest(pkt->digest, pkt->phv, bytes, sizeof bytes);
  p4_events_put(d->events, P4_EVENT_DIGEST, pkt->digest, 0, d->now, bytes, length);
}

static void parse(p4_device *d, p4_packet *pkt) {
  clear_decisions(pkt);
  pkt->truncate_to = UINT32_MAX;
  pkt->replicated = false;
  pkt->ingress_length = pkt->packet_length = pkt->length;
  d->program->parse(&d->context, pkt);
}

/* The rest of a packet that was parsed. */
static void ingress(p4_device *d, p4_packet *pkt) {
  d->program->ingress(&d->context, pkt);
  if (P4_UNLIKELY(pkt->failed_assertion)) {
    d->drops.assertion++;
    release(d, pkt);
    return;
  }
  if (P4_UNLIKELY(pkt->clone)) clone_ingress(d, pkt);
  if (P4_UNLIKELY(pkt->digest != 0)) learn(d, pkt);
  if (P4_UNLIKELY(pkt->resubmit_fields != 0)) {
    keep_fields(d, pkt, pkt->resubmit_fields);
    queue_for_ingress(d, pkt, P4_RESUBMITTED);
    return;
  }
  if (pkt->multicast_group != 0) {
    const p4_replica_set *group = p4_replication_group(d->replication, pkt->multicast_group);
    if (group == NULL) {
      d->drops.program++;
      release(d, pkt);
      return;
    }
    pkt->instance_type = P4_REPLICATED;
    replicate(d, pkt, group, pkt->priority);
    return;
  }
  if (pkt->egress_spec == d->context.drop_port) {
    d->drops.program++;
    release(d, pkt);
    return;
  }
  pkt->instance_type = P4_NORMAL;
  enqueue(d, pkt, pkt->egress_spec, pkt->priority);
}

void p4_device_accept(p4_device *d, p4_packet *const *pkts, uint32_t count) {
  if (P4_UNLIKELY(d->program == NULL)) {
    d->drops.no_program += count;
    for (uint32_t i = 0; i < count; i++) release(d, pkts[i]);
    return;
  }
  for (uint32_t i = 0; i < count; i++) {
    pkts[i]->instance_type = P4_NORMAL;
    parse(d, pkts[i]);
  }
  if (d->program->fetch != NULL && count > 1) d->program->fetch(&d->context, pkts, count);
  for (uint32_t i = 0; i < count; i++) {
    p4_device_time(d);
    ingress(d, pkts[i]);
  }
}

/* ---- output ------------------------------------------------------------------------------------------- */

static void hand_over(p4_device *d, p4_port_slot *slot) {
  if (slot->waiting_count == 0) return;
  uint32_t n = slot->waiting_count;
  int taken = p4_port_send(slot->port, slot->waiting, (int)n, d->now);
  for (int i = 0; i < taken; i++) release(d, slot->waiting[i]);
  uint32_t left = n - (uint32_t)taken;
  memmove(slot->waiting, slot->waiting + taken, left * sizeof slot->waiting[0]);
  slot->waiting_count = left;
  bool blocked = left > 0;
  if (blocked != (slot->retry != P4_NEVER)) p4_tm_block(d->tm, slot->port->number, blocked);
  slot->retry = blocked ? d->now + P4_PORT_RETRY_NS : P4_NEVER;
}

static void to_port(p4_device *d, p4_port_slot *slot, p4_packet *pkt) {
  slot->waiting[slot->waiting_count++] = pkt;
  if (slot->waiting_count == P4_BURST) hand_over(d, slot);
}

static void output(p4_device *d, p4_packet *pkt) {
  uint32_t port = pkt->egress_port;
  p4_tm_charge(d->tm, port, pkt->queue, pkt->length, 1);
  if (P4_UNLIKELY(port == d->config.cpu_port)) {
    p4_events_put(d->events, P4_EVENT_PACKET_IN, port, 0, d->now, pkt->data, pkt->length);
    release(d, pkt);
    return;
  }
  p4_port_slot *slot = d->slots[port];
  if (P4_UNLIKELY(slot == NULL)) {
    d->drops.no_port++;
    release(d, pkt);
    return;
  }
  if (slot->link == NULL) {
    to_port(d, slot, pkt);
    return;
  }
  if (p4_link_send(slot->link, pkt, d->now, pkt->length) != P4_LINK_ACCEPTED) {
    d->drops.link++;
    release(d, pkt);
  }
  p4_tm_hold(d->tm, port, p4_link_busy_until(slot->link));
}

static void egress(p4_device *d, p4_packet *pkt) {
  const p4_program *program = d->program;
  clear_decisions(pkt);
  program->egress(&d->context, pkt);
  if (P4_UNLIKELY(pkt->failed_assertion)) {
    d->drops.assertion++;
    release(d, pkt);
    return;
  }
  if (P4_UNLIKELY(pkt->clone)) {
    const p4_replica_set *session = p4_replication_session(d->replication, pkt->clone_session);
    p4_packet *clone = session != NULL && session->count > 0 ? copy_frame(d, pkt) : NULL;
    if (clone != NULL) {
      memcpy(clone->phv, pkt->phv, program->phv_bytes);
      program->reset_metadata(clone->phv);
      program->copy_fields(pkt->clone_fields, clone->phv, pkt->phv);
      send_clone(d, clone, session, P4_EGRESS_CLONE);
    }
  }
  if (pkt->egress_spec == d->context.drop_port) {
    d->drops.program++;
    release(d, pkt);
    return;
  }
  program->deparse(&d->context, pkt);
  if (P4_UNLIKELY(pkt->length > P4_FRAME_BYTES)) {
    d->drops.program++;
    release(d, pkt);
    return;
  }
  if (P4_UNLIKELY(pkt->recirculate_fields != 0)) {
    keep_fields(d, pkt, pkt->recirculate_fields);
    /* The next pass deparses into this frame again and may find no headroom left: move it back. */
    uint8_t *home = pkt->buffer + d->pool.headroom;
    memmove(home, pkt->data, pkt->length);
    pkt->data = home;
    pkt->capacity = P4_FRAME_BYTES;
    queue_for_ingress(d, pkt, P4_RECIRCULATED);
    return;
  }
  output(d, pkt);
}

/* ---- the device's own time ------------------------------------------------------------------------------ */

static void deliver(p4_device *d) {
  for (uint32_t i = 0; i < d->port_count; i++) {
    p4_port_slot *slot = d->slots[d->port_numbers[i]];
    if (slot->link != NULL && p4_link_next_event(slot->link) <= d->now) {
      uint64_t at;
      p4_packet *pkt;
      while (slot->waiting_count < P4_BURST && (pkt = p4_link_receive(slot->link, d->now, &at)) != NULL)
        to_port(d, slot, pkt);
    }
    if (slot->waiting_count > 0 && (slot->retry == P4_NEVER || slot->retry <= d->now)) hand_over(d, slot);
  }
}

static void report_idle(p4_device *d) {
  if (d->program == NULL || d->now < d->next_idle_check) return;
  d->next_idle_check = P4_NEVER;
  for (uint32_t i = 0; i < d->program->table_count; i++) {
    if (!d->program->tables[i].idle_timeout) continue;
    p4_table *table = &d->context.tables[i];
    uint32_t handles[IDLE_BATCH];
    uint32_t count = p4_table_expired(table, d->now, handles, IDLE_BATCH);
    for (uint32_t k = 0; k < count; k++)
      p4_events_put(d->events, P4_EVENT_IDLE, i, handles[k], d->now, NULL, 0);
    uint64_t next = p4_table_next_expiry(table, d->now);
    if (next < d->next_idle_check) d->next_idle_check = next;
  }
}

bool p4_device_settle(p4_device *d, uint64_t passes) {
  bool busy = true, done = true;
  /* An egress that clones its own clones would go on for ever as well. */
  uint64_t clones = passes;
  while (busy) {
    busy = false;
    /* A further pass goes before new packets, but a packet that goes round for ever must not keep the
     * queues waiting. */
    for (uint32_t i = 0; i < P4_DRAIN_EVERY && d->input_head != NULL; i++) {
      if (passes == 0) {
        done = false;
        break;
      }
      passes--;
      p4_packet *pkt = d->input_head;
      d->input_head = pkt->next;
      if (d->input_head == NULL) d->input_tail = &d->input_head;
      d->input_count--;
      parse(d, pkt);
      ingress(d, pkt);
      busy = true;
    }
    p4_packet *pkt;
    for (uint32_t i = 0; i < P4_BURST && (pkt = p4_tm_dequeue(d->tm, d->now)) != NULL; i++) {
      if (pkt->instance_type == P4_EGRESS_CLONE) clones -= clones > 0;
      egress(d, pkt);
      busy = true;
    }
    if (clones == 0) {
      done = false;
      break;
    }
  }
  deliver(d);
  report_idle(d);
  return done;
}

uint64_t p4_device_next_event(p4_device *d) {
  uint64_t next = d->input_head != NULL ? d->now : p4_tm_next_event(d->tm, d->now);
  if (d->program != NULL && d->next_idle_check < next) next = d->next_idle_check;
  for (uint32_t i = 0; i < d->port_count; i++) {
    p4_port_slot *slot = d->slots[d->port_numbers[i]];
    if (slot->retry < next) next = slot->retry;
    /* A port that refuses frames leaves those of its link where they are. */
    if (slot->link != NULL && slot->waiting_count < P4_BURST && p4_link_next_event(slot->link) < next)
      next = p4_link_next_event(slot->link);
  }
  return next;
}

void p4_device_flush(p4_device *d) {
  while (d->input_head != NULL) {
    p4_packet *pkt = d->input_head;
    d->input_head = pkt->next;
    release(d, pkt);
  }
  d->input_tail = &d->input_head;
  d->input_count = 0;
  p4_tm_flush(d->tm, P4_NONE, release_to, d);
  for (uint32_t i = 0; i < d->port_count; i++) {
    p4_port_slot *slot = d->slots[d->port_numbers[i]];
    if (slot->link != NULL) p4_link_flush(slot->link, release_to, d);
    for (uint32_t k = 0; k < slot->waiting_count; k++) release(d, slot->waiting[k]);
    slot->waiting_count = 0;
    if (slot->retry != P4_NEVER) p4_tm_block(d->tm, slot->port->number, false);
    slot->retry = P4_NEVER;
  }
}
