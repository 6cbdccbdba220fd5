/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_READY 64
#define YIELDS 64 /* how often the worker steps back for control calls before it takes its turn */

void p4_worker_wake(p4_device *d) {
  const uint64_t one = 1;
  if (d->wake_fd >= 0 && write(d->wake_fd, &one, sizeof one) < 0) {
    /* Full: the worker is about to be woken anyway. */
  }
}

void p4_worker_watch(p4_device *d, p4_port *port, int old_fd) {
  if (d->epoll_fd < 0) return;
  int fd = p4_port_fd(port);
  /* A descriptor that was closed has left the set by itself. */
  if (old_fd >= 0 && old_fd != fd) epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, old_fd, NULL);
  if (fd < 0) return;
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = port->number};
  if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0 && errno == EEXIST)
    epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, fd, &e);
}

static void link_changed(void *owner, const p4_link_state *state) {
  p4_device *d = owner;
  for (uint32_t i = 0; i < d->port_count; i++) {
    p4_port *port = d->slots[d->port_numbers[i]]->port;
    int fd = p4_port_fd(port);
    bool changed = p4_port_link_changed(port, state);
    if (p4_port_fd(port) != fd) p4_worker_watch(d, port, fd);
    if (!changed) continue;
    p4_port_map_put(&d->up, port->number, port->up);
    if (d->program != NULL)
      for (uint32_t k = 0; k < d->program->profile_count; k++)
        p4_profile_port_changed(&d->context.profiles[k], port->number, port->up);
    p4_events_put(d->events, P4_EVENT_PORT, port->number, port->up, d->now, NULL, 0);
  }
}

/* Take what a port has, one burst. Returns whether there may be more. */
static bool receive(p4_device *d, p4_port *port) {
  p4_packet *burst[P4_BURST];
  int n = p4_port_receive(port, &d->pool, burst, P4_BURST, d->now);
  for (int i = 0; i < n; i += P4_DRAIN_EVERY) {
    uint32_t count = n - i < (int)P4_DRAIN_EVERY ? (uint32_t)(n - i) : P4_DRAIN_EVERY;
    p4_device_accept(d, burst + i, count);
    if (count == P4_DRAIN_EVERY) p4_device_settle(d, P4_BURST);
  }
  return n == (int)P4_BURST;
}

static void unlock(p4_device *d) {
  pthread_mutex_unlock(&d->lock);
  for (int i = 0; i < YIELDS && atomic_load_explicit(&d->waiting, memory_order_relaxed) > 0; i++) sched_yield();
}

/* Everything that is due and has arrived; returns false once there is nothing left to do at once. */
static bool round_of_work(p4_device *d, const struct epoll_event *ready, int count) {
  bool more = false;
  for (int i = 0; i < count; i++) {
    uint64_t tag = ready[i].data.u64;
    pthread_mutex_lock(&d->lock);
    p4_device_time(d);
    if (tag == P4_MONITOR_TAG) {
      p4_monitor_read(&d->monitor, link_changed, d);
    } else if (tag == P4_WAKE_TAG) {
      uint64_t drain;
      if (read(d->wake_fd, &drain, sizeof drain) < 0) {
        /* Someone else took it: fine. */
      }
    } else if (tag < P4_MAX_PORTS && d->slots[tag] != NULL) {
      more |= receive(d, d->slots[tag]->port);
    }
    more |= !p4_device_settle(d, P4_BURST);
    unlock(d);
  }
  pthread_mutex_lock(&d->lock);
  p4_device_time(d);
  for (uint32_t i = 0; i < d->port_count; i++) {
    p4_port *port = d->slots[d->port_numbers[i]]->port;
    if (p4_port_pending(port)) more |= receive(d, port);
  }
  more |= !p4_device_settle(d, P4_BURST);
  unlock(d);
  return more;
}

static void *run(void *argument) {
  p4_device *d = argument;
  prctl(PR_SET_NAME, "p4jit-worker");
  /* Shapers and emulated links need better than the default 50 us. */
  prctl(PR_SET_TIMERSLACK, 1);
  bool more = true;
  while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
    struct timespec timeout = {0, 0}, *limit = &timeout;
    if (!more) {
      pthread_mutex_lock(&d->lock);
      uint64_t next = p4_device_next_event(d), now = p4_device_time(d);
      bool idle = true;
      for (uint32_t i = 0; i < d->port_count; i++) {
        p4_port *port = d->slots[d->port_numbers[i]]->port;
        idle &= !p4_port_pending(port);
        /* Whoever watches a capture sees a frame when it has passed. */
        p4_port_flush(port);
      }
      pthread_mutex_unlock(&d->lock);
      if (next == P4_NEVER && idle) {
        limit = NULL;
      } else if (next > now && idle) {
        timeout.tv_sec = (time_t)((next - now) / 1000000000u);
        timeout.tv_nsec = (long)((next - now) % 1000000000u);
      }
    }
    struct epoll_event ready[MAX_READY];
    int count = epoll_pwait2(d->epoll_fd, ready, MAX_READY, limit, NULL);
    if (count < 0) {
      if (errno == EINTR) continue;
      break;
    }
    more = round_of_work(d, ready, count);
  }
  return NULL;
}

int p4_worker_start(p4_device *d) {
  if (d->running) return 0;
  if (d->config.virtual_clock) return -EINVAL;
  atomic_store(&d->stop, false);
  int error = pthread_create(&d->worker, NULL, run, d);
  d->running = error == 0;
  return -error;
}

void p4_worker_stop(p4_device *d) {
  if (!d->running) return;
  atomic_store(&d->stop, true);
  p4_worker_wake(d);
  pthread_join(d->worker, NULL);
  d->running = false;
}
