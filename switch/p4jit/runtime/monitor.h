/* SPDX-License-Identifier: Apache-2.0
 *
 * Interfaces of the network namespace as they come, go, rise and fall (rtnetlink; needs no privilege).
 */
#ifndef P4JIT_MONITOR_H
#define P4JIT_MONITOR_H

#include "core.h"

/* A report of all interfaces is between two marks, so that one not in it is known to be gone. */
enum { P4_LINK_FIRST = 0, P4_LINK_LAST = -1 };

typedef struct p4_link_state {
  int ifindex;      /* or a mark: then nothing else is set */
  const char *name; /* NUL-terminated, valid during the call */
  bool present;     /* false: the interface was deleted or moved to another namespace */
  bool up;          /* administratively up and with carrier */
  uint32_t mtu;     /* bytes; 0 when not present */
} p4_link_state;

typedef struct p4_monitor {
  int fd;     /* readable when there is news; give it to epoll */
  bool asked; /* for all interfaces; the answer is coming in */
  bool again; /* news was lost: ask once more */
} p4_monitor;

typedef void (*p4_monitor_function)(void *owner, const p4_link_state *);

/* Returns 0, or -errno with a message in `error`. The first reads report every interface there is, so that
 * nothing is missed between opening ports and listening. */
int p4_monitor_open(p4_monitor *, char *error, size_t error_bytes);

/* Reports what is there without waiting; all interfaces again when the kernel had to throw news away. Returns
 * 0 or -errno. */
int p4_monitor_read(p4_monitor *, p4_monitor_function, void *owner);
void p4_monitor_close(p4_monitor *);

#endif
