/* SPDX-License-Identifier: Apache-2.0
 *
 * What port.c asks of each kind of port. Private to port*.c.
 */
#ifndef P4JIT_PORT_DRIVER_H
#define P4JIT_PORT_DRIVER_H

#include "port.h"

/* As the functions of the same name in port.h. NULL: nothing to do. */
struct p4_port_driver {
  int (*fd)(const p4_port *);
  bool (*pending)(const p4_port *);
  int (*receive)(p4_port *, p4_pool *, p4_packet **, int max, uint64_t now);
  int (*send)(p4_port *, p4_packet *const *, int n, uint64_t now);
  int (*flush)(p4_port *);
  void (*statistics)(p4_port *);
  void (*close)(p4_port *);
};

/* Open port->ifindex (interfaces) or the configuration's files. Return 0, or -errno with a message; on
 * success port->driver and port->state are set. */
int p4_port_packet_open(p4_port *, char *error, size_t error_bytes);
int p4_port_xdp_open(p4_port *, char *error, size_t error_bytes);
int p4_port_pcap_open(p4_port *, const p4_port_config *, char *error, size_t error_bytes);

/* Count a frame the kernel refused with this errno. */
void p4_port_refused(p4_port *, int error);

#endif
