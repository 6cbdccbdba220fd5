/* SPDX-License-Identifier: Apache-2.0
 *
 * Ports: where frames come from and go to. A Linux interface (AF_PACKET or AF_XDP), capture files, or
 * memory. All calls are the worker's, under its device's lock, and none waits.
 *
 *   p4_port *port = p4_port_open(&config, error, sizeof error);
 *   n = p4_port_receive(port, pool, packets, 64, now);      while p4_port_pending() or p4_port_fd() is readable
 *   taken = p4_port_send(port, packets, n, now);            the caller puts the taken packets back
 *   if (taken < n)                                          offer the rest again after P4_PORT_RETRY_NS
 *
 * Two ports and a pool make a forwarder; no program is needed.
 */
#ifndef P4JIT_PORT_H
#define P4JIT_PORT_H

#include "core.h"
#include "monitor.h"
#include "pool.h"

#define P4_PORT_BURST 64         /* a good number of packets to receive or send at a time */
#define P4_PORT_RETRY_NS 20000u  /* how long an interface with no room is left alone; it tells no one when it has */
#define P4_PORT_NAME_BYTES 256

enum p4_port_kind { P4_PORT_PACKET, P4_PORT_XDP, P4_PORT_PCAP, P4_PORT_MEMORY };

/* A frame leaving by a memory port. */
typedef void (*p4_port_output)(void *owner, uint16_t port, const uint8_t *data, uint32_t length, uint64_t now);

typedef struct p4_port_config {
  enum p4_port_kind kind;
  uint16_t number;
  const char *name;       /* interface; elsewhere what to call the port. Copied */
  const char *input;      /* pcap: file to read, or NULL */
  const char *output;     /* pcap: file to write, or NULL */
  const char *capture;    /* directory for NAME_in.pcap and NAME_out.pcap, or NULL (interfaces only) */
  uint64_t epoch;         /* device time 0 in ns since the Unix epoch: stamps of written captures */
  p4_port_output deliver; /* memory: takes the frames */
  void *owner;            /* first argument of deliver */
} p4_port_config;

typedef struct p4_port_stats {
  uint64_t rx_packets, rx_bytes;
  uint64_t tx_packets, tx_bytes;
  /* Lost on the way in: */
  uint64_t rx_overrun;    /* by the kernel, for want of room: we were too slow */
  uint64_t rx_oversize;   /* longer than P4_FRAME_BYTES */
  uint64_t rx_short;      /* no whole Ethernet header */
  uint64_t rx_no_packet;  /* the pool was empty (a capture file waits instead) */
  /* Lost on the way out: */
  uint64_t tx_down;       /* port down or gone */
  uint64_t tx_oversize;   /* longer than the interface's MTU allows, or than P4_FRAME_BYTES */
  uint64_t tx_error;      /* refused for another reason, port->error_code */
} p4_port_stats;

typedef struct p4_port_driver p4_port_driver;

typedef struct p4_port {
  const p4_port_driver *driver; /* NULL while the interface is gone */
  void *state;                  /* the driver's */
  uint16_t number;
  enum p4_port_kind kind;       /* what was asked for */
  bool up;                      /* capture files and memory are always up */
  bool present;                 /* in the report of all interfaces that is under way */
  bool xdp;                     /* what it got: false when AF_XDP was asked for and refused */
  int ifindex;                  /* 0: gone, or not an interface */
  uint32_t mtu;                 /* of the interface, bytes */
  int error_code;               /* errno of the last refusal */
  p4_port_stats stats;
  uint64_t epoch;
  p4_port_output deliver;
  void *owner;
  struct p4_pcap_writer *capture_in, *capture_out;
  char name[P4_PORT_NAME_BYTES];
  char note[256];               /* why AF_XDP fell back to AF_PACKET; "" otherwise */
} p4_port;

/* NULL with a message in `error` that says what to do. */
p4_port *p4_port_open(const p4_port_config *, char *error, size_t error_bytes);
void p4_port_close(p4_port *); /* NULL is fine */

/* For epoll; -1 when there is none (pcap, memory, interface gone). May change in p4_port_link_changed. */
int p4_port_fd(const p4_port *);

/* Input is there that no readiness of p4_port_fd will tell of (capture files, a frame that stands for many). */
bool p4_port_pending(const p4_port *);

/* At most `max` frames, in order. Sets data, length, capacity, ingress_port and arrival (= now). */
int p4_port_receive(p4_port *, p4_pool *, p4_packet **out, int max, uint64_t now);

/* Takes the first packets of the batch, in order, and returns how many. Taken frames were sent, or are lost
 * and counted; all packets remain the caller's. Fewer than n: the interface has no room. */
int p4_port_send(p4_port *, p4_packet *const *batch, int n, uint64_t now);

/* Apply a change p4_monitor_read reported; open the monitor before the ports, so that none is missed. An interface that was deleted and created again under the
 * port's name is reopened. True if port->up changed. */
bool p4_port_link_changed(p4_port *, const p4_link_state *);

/* Write captured and output frames through to their files: when idle. Returns 0 or -errno. */
int p4_port_flush(p4_port *);

/* Counters the kernel keeps (rx_overrun) are read in here. */
const p4_port_stats *p4_port_statistics(p4_port *);

#endif
