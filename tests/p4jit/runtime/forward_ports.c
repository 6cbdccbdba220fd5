/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ports and a pool, no program: frames of one go out of the other. What test_port.py drives, and what
 * measures port I/O by itself.
 *
 *   forward_ports KIND A B [CAPTURE_DIRECTORY]
 *
 * KIND packet or xdp: A and B are interfaces. KIND pcap: A is read, B written; ends at the end of A.
 * Prints a port's note, "ready", then "port N up|down" for each change, and one line of statistics a port when
 * it gets SIGUSR1 and when it ends: by SIGTERM, or with the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "port.h"

#define PORTS 2
#define PACKETS 4096

typedef struct forwarder {
  int epoll;
  p4_pool pool;
  p4_port *ports[PORTS];
  p4_monitor monitor;
  p4_packet *waiting[PORTS][P4_PORT_BURST]; /* that a port had no room for */
  int waiting_count[PORTS];
} forwarder;

static void die(const char *text) {
  fprintf(stderr, "%s\n", text);
  exit(1);
}

static uint64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(forwarder *f, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (fd >= 0 && epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST) die("epoll_ctl");
}

static void on_link(void *owner, const p4_link_state *link) {
  forwarder *f = owner;
  for (int i = 0; i < PORTS; i++) {
    p4_port *port = f->ports[i];
    int fd = p4_port_fd(port);
    if (p4_port_link_changed(port, link)) printf("port %d %s\n", i, port->up ? "up" : "down");
    if (p4_port_fd(port) != fd) watch(f, p4_port_fd(port)); /* a closed one leaves by itself */
  }
  fflush(stdout);
}

static void send_waiting(forwarder *f, int to, uint64_t time) {
  int sent = p4_port_send(f->ports[to], f->waiting[to], f->waiting_count[to], time);
  for (int i = 0; i < sent; i++) p4_pool_put(&f->pool, f->waiting[to][i]);
  f->waiting_count[to] -= sent;
  memmove(f->waiting[to], f->waiting[to] + sent, sizeof(p4_packet *) * (size_t)f->waiting_count[to]);
}

/* True while there may be more. */
static bool forward(forwarder *f, int from, uint64_t time) {
  int to = 1 - from;
  if (f->waiting_count[to] == 0)
    f->waiting_count[to] = p4_port_receive(f->ports[from], &f->pool, f->waiting[to], P4_PORT_BURST, time);
  bool any = f->waiting_count[to] > 0;
  if (any) send_waiting(f, to, time);
  return any || p4_port_pending(f->ports[from]);
}

static void print_port(p4_port *port) {
  const p4_port_stats *s = p4_port_statistics(port);
  printf("{\"port\": %u, \"up\": %s, \"rx_packets\": %" PRIu64 ", \"rx_bytes\": %" PRIu64 ", \"tx_packets\": %" PRIu64
         ", \"tx_bytes\": %" PRIu64 ", \"rx_overrun\": %" PRIu64 ", \"rx_oversize\": %" PRIu64
         ", \"rx_short\": %" PRIu64 ", \"rx_no_packet\": %" PRIu64 ", \"tx_down\": %" PRIu64
         ", \"tx_oversize\": %" PRIu64 ", \"tx_error\": %" PRIu64 "}\n",
         port->number, port->up ? "true" : "false", s->rx_packets, s->rx_bytes, s->tx_packets, s->tx_bytes,
         s->rx_overrun, s->rx_oversize, s->rx_short, s->rx_no_packet, s->tx_down, s->tx_oversize, s->tx_error);
}

static void print_statistics(forwarder *f) {
  for (int i = 0; i < PORTS; i++) print_port(f->ports[i]);
  fflush(stdout);
}

int main(int argc, char **argv) {
  char error[512];
  if (argc < 4) die("usage: forward_ports packet|xdp|pcap A B [CAPTURE_DIRECTORY]");
  bool files = strcmp(argv[1], "pcap") == 0;
  forwarder *f = calloc(1, sizeof *f);
  if (f == NULL || p4_pool_init(&f->pool, PACKETS, 0, 0) < 0) die("out of memory");
  if (p4_monitor_open(&f->monitor, error, sizeof error) < 0) die(error);
  uint64_t start = now(CLOCK_MONOTONIC);
  uint64_t epoch = now(CLOCK_REALTIME);
  for (int i = 0; i < PORTS; i++) {
    p4_port_config config = {.kind = files                          ? P4_PORT_PCAP
                                     : strcmp(argv[1], "xdp") == 0 ? P4_PORT_XDP
                                                                    : P4_PORT_PACKET,
                             .number = (uint16_t)i,
                             .name = argv[2 + i],
                             .capture = argc > 4 ? argv[4] : NULL,
                             .input = files && i == 0 ? argv[2] : NULL,
                             .output = files && i == 1 ? argv[3] : NULL,
                             .epoch = epoch};
    f->ports[i] = p4_port_open(&config, error, sizeof error);
    if (f->ports[i] == NULL) die(error);
    if (f->ports[i]->note[0] != '\0') printf("note %s\n", f->ports[i]->note);
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int asked = signalfd(-1, &signals, SFD_CLOEXEC);
  f->epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(f, asked);
  watch(f, f->monitor.fd);
  for (int i = 0; i < PORTS; i++) watch(f, p4_port_fd(f->ports[i]));
  puts("ready");
  fflush(stdout);

  for (bool running = true; running;) {
    bool busy = false;
    for (int round = 0; round < 16; round++) {
      uint64_t time = now(CLOCK_MONOTONIC) - start;
      busy = false;
      for (int i = 0; i < PORTS; i++) busy |= forward(f, i, time);
      if (!busy) break;
    }
    if (!busy) {
      if (files) {
        print_statistics(f);
        break;
      }
      for (int i = 0; i < PORTS; i++) p4_port_flush(f->ports[i]);
    }
    struct epoll_event events[8];
    int n = epoll_wait(f->epoll, events, 8, busy ? 0 : -1);
    for (int i = 0; i < n; i++) {
      struct signalfd_siginfo signal;
      if (events[i].data.fd == asked && read(asked, &signal, sizeof signal) == sizeof signal) {
        running = signal.ssi_signo == SIGUSR1;
        print_statistics(f);
      }
      if (events[i].data.fd == f->monitor.fd && p4_monitor_read(&f->monitor, on_link, f) < 0) die("monitor");
    }
  }
  for (int i = 0; i < PORTS; i++) p4_port_close(f->ports[i]);
  p4_monitor_close(&f->monitor);
  p4_pool_free(&f->pool);
  free(f);
  return 0;
}
