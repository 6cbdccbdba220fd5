/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "worker.h"

static void keep_output(void *owner, uint16_t port, const uint8_t *data, uint32_t length, uint64_t now) {
  p4_device *d = owner;
  p4_outputs *o = &d->outputs;
  if (o->discard) return;
  size_t size = 16 + (size_t)length;
  if (o->used + size > o->room) {
    size_t room = o->room ? o->room : 65536;
    while (room < o->used + size) room *= 2;
    uint8_t *bytes = realloc(o->bytes, room);
    if (bytes == NULL) {
      d->drops.no_buffer++;
      return;
    }
    o->bytes = bytes;
    o->room = room;
  }
  const uint32_t head[2] = {port, length};
  memcpy(o->bytes + o->used, &now, 8);
  memcpy(o->bytes + o->used + 8, head, 8);
  memcpy(o->bytes + o->used + 16, data, length);
  o->used += size;
}

void p4_port_slot_free(p4_port_slot *slot) {
  if (slot->link != NULL) p4_link_free(slot->link, NULL, NULL);
  p4_port_close(slot->port);
  free(slot);
}

static p4_port_slot *slot_at(p4_device *d, uint32_t number) {
  return number < P4_MAX_PORTS ? d->slots[number] : NULL;
}

static void tell_profiles(p4_device *d, uint32_t number, bool up) {
  p4_port_map_put(&d->up, number, up);
  for (uint32_t k = 0; d->program != NULL && k < d->program->profile_count; k++)
    p4_profile_port_changed(&d->context.profiles[k], number, up);
}

int p4_control_port_add(p4_device *d, uint32_t number, uint32_t kind, const char *name, const char *input,
                        const char *output, const char *capture, char *error, uint64_t error_bytes) {
  if (number >= P4_MAX_PORTS || number == d->config.drop_port || number == d->config.cpu_port) {
    snprintf(error, error_bytes, "port %u cannot be used: ports are 0 to %u, without the drop port and the CPU port",
             number, P4_MAX_PORTS - 1);
    return P4_INVALID;
  }
  p4_port_config config = {
      .kind = (enum p4_port_kind)kind,
      .number = (uint16_t)number,
      .name = name,
      .input = input,
      .output = output,
      .capture = capture,
      .epoch = d->epoch,
      .deliver = keep_output,
      .owner = d,
  };
  p4_device_lock(d);
  int status = P4_EXISTS;
  p4_port_slot *slot = NULL;
  if (d->slots[number] != NULL) {
    snprintf(error, error_bytes, "port %u is in use", number);
    goto out;
  }
  status = P4_NO_MEMORY;
  slot = calloc(1, sizeof *slot);
  if (slot == NULL) {
    snprintf(error, error_bytes, "not enough memory for port %u", number);
    goto out;
  }
  status = P4_INVALID;
  slot->port = p4_port_open(&config, error, error_bytes);
  if (slot->port == NULL) {
    free(slot);
    goto out;
  }
  slot->retry = P4_NEVER;
  d->slots[number] = slot;
  d->port_numbers[d->port_count++] = (uint16_t)number;
  tell_profiles(d, number, slot->port->up);
  p4_worker_watch(d, slot->port, -1);
  p4_worker_wake(d);
  status = 0;
out:
  p4_device_unlock(d);
  return status;
}

static void release_packet(void *device, p4_packet *pkt) {
  p4_device *d = device;
  p4_pool_put(&d->pool, pkt);
}

int p4_control_port_remove(p4_device *d, uint32_t number) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) {
    p4_tm_flush(d->tm, number, release_packet, d);
    if (slot->link != NULL) p4_link_flush(slot->link, release_packet, d);
    for (uint32_t i = 0; i < slot->waiting_count; i++) release_packet(d, slot->waiting[i]);
    if (slot->retry != P4_NEVER) p4_tm_block(d->tm, number, false);
    p4_tm_hold(d->tm, number, 0);
    d->slots[number] = NULL;
    for (uint32_t i = 0; i < d->port_count; i++)
      if (d->port_numbers[i] == number) {
        memmove(d->port_numbers + i, d->port_numbers + i + 1, (d->port_count - i - 1) * sizeof d->port_numbers[0]);
        d->port_count--;
        break;
      }
    tell_profiles(d, number, false);
    int fd = p4_port_fd(slot->port);
    if (fd >= 0 && d->epoll_fd >= 0) epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    p4_port_slot_free(slot);
  }
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_port_link(p4_device *d, uint32_t number, const p4_link_config *config) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  int status = P4_NOT_FOUND;
  if (slot != NULL) {
    status = 0;
    if (config == NULL) {
      if (slot->link != NULL) p4_link_free(slot->link, release_packet, d);
      slot->link = NULL;
      p4_tm_hold(d->tm, number, 0);
    } else if (slot->link != NULL) {
      status = p4_link_configure(slot->link, config) == 0 ? 0 : P4_INVALID;
    } else {
      slot->link = p4_link_new(config);
      if (slot->link == NULL) status = P4_INVALID;
    }
    p4_worker_wake(d);
  }
  p4_device_unlock(d);
  return status;
}

int p4_control_port_shape(p4_device *d, uint32_t number, const p4_shaping *shaping) {
  p4_device_lock(d);
  int status = p4_tm_set_port(d->tm, number, shaping, d->now) == 0 ? 0 : P4_INVALID;
  p4_worker_wake(d);
  p4_device_unlock(d);
  return status;
}

int p4_control_port_queue(p4_device *d, uint32_t number, uint32_t queue, const p4_queue_config *config) {
  p4_device_lock(d);
  int status = p4_tm_set_queue(d->tm, number, queue, config, d->now) == 0 ? 0 : P4_INVALID;
  p4_worker_wake(d);
  p4_device_unlock(d);
  return status;
}

int p4_control_port_status(p4_device *d, uint32_t number, p4_port_stats *stats, uint32_t *up, p4_link_status *link) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) {
    *stats = *p4_port_statistics(slot->port);
    *up = slot->port->up;
    memset(link, 0, sizeof *link);
    if (slot->link != NULL) p4_link_status_get(slot->link, link);
  }
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}

int p4_control_queue_status(p4_device *d, uint32_t number, uint32_t queue, p4_queue_status *status) {
  p4_device_lock(d);
  p4_tm_status(d->tm, number, queue, status);
  p4_device_unlock(d);
  return 0;
}

int p4_control_port_note(p4_device *d, uint32_t number, char *out, uint64_t room) {
  p4_device_lock(d);
  p4_port_slot *slot = slot_at(d, number);
  if (slot != NULL) snprintf(out, room, "%s", slot->port->note);
  p4_device_unlock(d);
  return slot != NULL ? 0 : P4_NOT_FOUND;
}
