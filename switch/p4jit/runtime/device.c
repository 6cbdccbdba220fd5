/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "state.h"
#include "worker.h"

/* ---- the lock ------------------------------------------------------------------------------------------ */

void p4_device_lock(p4_device *d) {
  atomic_fetch_add_explicit(&d->waiting, 1, memory_order_relaxed);
  pthread_mutex_lock(&d->lock);
  atomic_fetch_sub_explicit(&d->waiting, 1, memory_order_relaxed);
  p4_device_time(d);
}

void p4_device_unlock(p4_device *d) { pthread_mutex_unlock(&d->lock); }

/* ---- life ------------------------------------------------------------------------------------------------ */

uint64_t p4_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch_descriptors(p4_device *d) {
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = P4_WAKE_TAG};
  epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->wake_fd, &e);
  if (d->monitoring) {
    e.data.u64 = P4_MONITOR_TAG;
    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->monitor.fd, &e);
  }
}

p4_device *p4_device_new(const p4_device_config *config, char *error, uint64_t error_bytes) {
  p4_device *d = calloc(1, sizeof *d);
  if (d == NULL) goto no_memory;
  d->config = *config;
  d->epoll_fd = d->wake_fd = -1;
  d->input_tail = &d->input_head;
  d->next_idle_check = P4_NEVER;
  d->context.device = d;
  d->context.drop_port = config->drop_port;
  p4_random_seed(d->context.random_state, config->seed);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&d->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  d->tm = p4_tm_new(config->queues);
  d->replication = p4_replication_new();
  d->events = p4_events_new();
  if (d->tm == NULL || d->replication == NULL || d->events == NULL) goto no_memory;
  /* Before a program is loaded frames are read only to be dropped. */
  if (p4_pool_init(&d->pool, P4_POOL_PACKETS, 64, P4_MIN_HEADROOM) != 0) goto no_memory;
  if (!config->virtual_clock) {
    d->start = p4_clock(CLOCK_MONOTONIC);
    d->epoch = p4_clock(CLOCK_REALTIME);
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->epoll_fd < 0 || d->wake_fd < 0) {
      snprintf(error, error_bytes, "cannot create a device: %s", strerror(errno));
      p4_device_free(d);
      return NULL;
    }
    if (p4_monitor_open(&d->monitor, error, error_bytes) != 0) {
      p4_device_free(d);
      return NULL;
    }
    d->monitoring = true;
    watch_descriptors(d);
  }
  return d;
no_memory:
  snprintf(error, error_bytes, "not enough memory for a device");
  p4_device_free(d);
  return NULL;
}

void p4_device_free(p4_device *d) {
  if (d == NULL) return;
  p4_device_stop(d);
  if (d->tm != NULL) {
    p4_device_flush(d);
    p4_tm_free(d->tm);
  }
  for (uint32_t i = 0; i < d->port_count; i++) p4_port_slot_free(d->slots[d->port_numbers[i]]);
  if (d->program != NULL) {
    p4_state s = p4_state_of(d);
    p4_state_free(&s, d->program);
    dlclose(d->library);
  }
  if (d->replication != NULL) p4_replication_free(d->replication);
  p4_events_free(d->events);
  p4_pool_free(&d->pool);
  if (d->monitoring) p4_monitor_close(&d->monitor);
  if (d->epoll_fd >= 0) close(d->epoll_fd);
  if (d->wake_fd >= 0) close(d->wake_fd);
  free(d->outputs.bytes);
  pthread_mutex_destroy(&d->lock);
  free(d);
}

int p4_device_load(p4_device *d, const char *path, char *error, uint64_t error_bytes) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    snprintf(error, error_bytes, "cannot load the compiled program: %s", dlerror());
    return P4_INVALID;
  }
  const p4_program *program = dlsym(library, P4_PROGRAM_SYMBOL);
  if (program == NULL || program->abi_version != P4_ABI_VERSION) {
    snprintf(error, error_bytes, "%s is not a program for this version of p4jit: compile it again", path);
    dlclose(library);
    return P4_INVALID;
  }
  p4_state fresh = {0};
  p4_pool pool = {0};
  uint64_t random[4];
  p4_random_seed(random, d->config.seed);
  /* Slack: a port may put back a VLAN tag in front of a frame. */
  if (!p4_state_new(&fresh, program, random) ||
      p4_pool_init(&pool, P4_POOL_PACKETS, program->phv_bytes, program->headroom + 16) != 0) {
    snprintf(error, error_bytes, "not enough memory for the program's tables and arrays");
    p4_state_free(&fresh, program);
    dlclose(library);
    return P4_NO_MEMORY;
  }
  p4_device_lock(d);
  p4_device_flush(d);
  p4_state old = p4_state_of(d);
  const p4_program *old_program = d->program;
  void *old_library = d->library;
  p4_pool old_pool = d->pool;
  p4_state_use(d, &fresh);
  d->pool = pool;
  d->program = program;
  d->library = library;
  d->next_idle_check = P4_NEVER;
  memset(&d->drops, 0, sizeof d->drops);
  p4_replication_clear(d->replication);
  for (uint32_t i = 0; i < d->port_count; i++)
    for (uint32_t k = 0; k < program->profile_count; k++) {
      const p4_port *port = d->slots[d->port_numbers[i]]->port;
      p4_profile_port_changed(&d->context.profiles[k], port->number, port->up);
    }
  p4_device_unlock(d);
  p4_pool_free(&old_pool);
  if (old_program != NULL) {
    p4_state_free(&old, old_program);
    dlclose(old_library);
  }
  return 0;
}

int p4_device_start(p4_device *d) {
  int error = p4_worker_start(d);
  return error == 0 ? 0 : p4_system_error(-error);
}

void p4_device_stop(p4_device *d) { p4_worker_stop(d); }

uint64_t p4_device_now(p4_device *d) {
  p4_device_lock(d);
  uint64_t now = d->now;
  p4_device_unlock(d);
  return now;
}

uint64_t p4_device_epoch(p4_device *d) { return d->epoch; }

void p4_device_drops(p4_device *d, p4_drops *out) {
  p4_device_lock(d);
  *out = d->drops;
  p4_device_unlock(d);
}

p4_events *p4_device_events(p4_device *d) { return d->events; }

void p4_log(p4_context *c, uint32_t message, uint32_t count, const uint64_t *values, uint32_t signs) {
  p4_events_put(c->device->events, P4_EVENT_LOG, message, signs, c->now, values, count * 16);
}
