/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kinds of port have in common: opening, captures, interfaces that come and go. The memory port,
 * which only hands frames over, is here too.
 */
#include "port.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pcap.h"
#include "port_driver.h"

/* ---- memory --------------------------------------------------------------------------------------- */

static int memory_receive(p4_port *port, p4_pool *pool, p4_packet **out, int max, uint64_t now) {
  (void)port, (void)pool, (void)out, (void)max, (void)now;
  return 0; /* frames are injected into the device */
}

static int memory_send(p4_port *port, p4_packet *const *batch, int n, uint64_t now) {
  for (int i = 0; i < n; i++) {
    port->deliver(port->owner, port->number, batch[i]->data, batch[i]->length, now);
    port->stats.tx_packets++;
    port->stats.tx_bytes += batch[i]->length;
  }
  return n;
}

static void memory_close(p4_port *port) { port->driver = NULL; }

static const p4_port_driver memory_driver = {
    .receive = memory_receive, .send = memory_send, .close = memory_close};

/* ---- interfaces ----------------------------------------------------------------------------------- */

/* Fill in what the monitor keeps true from then on. 0 or -errno. */
static int look_up(p4_port *port) {
  struct ifreq request = {0};
  size_t length = strlen(port->name);
  if (length >= sizeof request.ifr_name) return -ENODEV;
  memcpy(request.ifr_name, port->name, length);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  bool found = ioctl(fd, SIOCGIFINDEX, &request) == 0;
  int ifindex = request.ifr_ifindex;
  found = found && ioctl(fd, SIOCGIFMTU, &request) == 0;
  port->mtu = (uint32_t)request.ifr_mtu;
  found = found && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  port->up = (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
  /* IFF_RUNNING lags behind the carrier. */
  struct ethtool_value carrier = {.cmd = ETHTOOL_GLINK};
  request.ifr_data = (char *)&carrier;
  if (ioctl(fd, SIOCETHTOOL, &request) == 0) port->up = carrier.data != 0;
  close(fd);
  if (!found) return -ENODEV;
  port->ifindex = ifindex;
  port->present = true;
  return 0;
}

static int open_interface(p4_port *port, char *error, size_t error_bytes) {
  port->note[0] = '\0';
  port->xdp = false;
  if (port->kind == P4_PORT_XDP) {
    char reason[200];
    if (p4_port_xdp_open(port, reason, sizeof reason) == 0) {
      port->xdp = true;
      return 0;
    }
    snprintf(port->note, sizeof port->note, "%s; using AF_PACKET", reason);
  }
  return p4_port_packet_open(port, error, error_bytes);
}

static void close_interface(p4_port *port) {
  if (port->driver != NULL) {
    if (port->driver->statistics != NULL) port->driver->statistics(port);
    port->driver->close(port);
  }
  port->ifindex = 0;
  port->up = false;
}

bool p4_port_link_changed(p4_port *port, const p4_link_state *link) {
  if (port->kind != P4_PORT_PACKET && port->kind != P4_PORT_XDP) return false;
  bool was_up = port->up;
  if (link->ifindex == P4_LINK_FIRST) {
    port->present = false;
  } else if (link->ifindex == P4_LINK_LAST) {
    if (port->ifindex != 0 && !port->present) close_interface(port);
  } else if (link->ifindex == port->ifindex) {
    port->present = link->present;
    if (!link->present) {
      close_interface(port);
    } else {
      port->up = link->up;
      port->mtu = link->mtu;
    }
  } else if (port->ifindex == 0 && link->present && strcmp(link->name, port->name) == 0) {
    char error[256]; /* kept as error_code; the next change of the link tries again */
    port->ifindex = link->ifindex;
    port->mtu = link->mtu;
    port->present = true;
    int result = open_interface(port, error, sizeof error);
    if (result == 0) {
      port->up = link->up;
    } else {
      port->error_code = -result;
      port->ifindex = 0;
    }
  }
  return port->up != was_up;
}

/* ---- all ports ------------------------------------------------------------------------------------ */

static p4_pcap_writer *open_capture(const p4_port *port, const char *directory, const char *suffix, char *error,
                                    size_t error_bytes) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s_%s.pcap", directory, port->name, suffix);
  if (length < 0 || (size_t)length >= sizeof path) {
    snprintf(error, error_bytes, "port %u: the capture directory's name is too long", port->number);
    return NULL;
  }
  return p4_pcap_create(path, error, error_bytes);
}

static int open_by_kind(p4_port *port, const p4_port_config *config, char *error, size_t error_bytes) {
  switch (config->kind) {
    case P4_PORT_MEMORY:
      port->up = true;
      port->driver = &memory_driver;
      return 0;
    case P4_PORT_PCAP:
      port->up = true;
      return p4_port_pcap_open(port, config, error, error_bytes);
    case P4_PORT_PACKET:
    case P4_PORT_XDP:
      break;
  }
  int result = look_up(port);
  if (result < 0) {
    snprintf(error, error_bytes, "port %u, interface %s: %s%s", port->number, port->name, strerror(-result),
             result == -ENODEV ? " in this network namespace (see `ip link`)" : "");
    return result;
  }
  result = open_interface(port, error, error_bytes);
  if (result < 0 || config->capture == NULL) return result;
  port->capture_in = open_capture(port, config->capture, "in", error, error_bytes);
  if (port->capture_in != NULL) port->capture_out = open_capture(port, config->capture, "out", error, error_bytes);
  return port->capture_out == NULL ? -EINVAL : 0;
}

p4_port *p4_port_open(const p4_port_config *config, char *error, size_t error_bytes) {
  p4_port *port = calloc(1, sizeof *port);
  if (port == NULL) {
    snprintf(error, error_bytes, "port %u: out of memory", config->number);
    return NULL;
  }
  port->number = config->number;
  port->kind = config->kind;
  port->epoch = config->epoch;
  port->deliver = config->deliver;
  port->owner = config->owner;
  int length = snprintf(port->name, sizeof port->name, "%s", config->name == NULL ? "" : config->name);
  if (length < 0 || (size_t)length >= sizeof port->name) {
    snprintf(error, error_bytes, "port %u: the name is longer than %zu bytes", port->number,
             sizeof port->name - 1);
    free(port);
    return NULL;
  }
  if (open_by_kind(port, config, error, error_bytes) < 0) {
    p4_port_close(port);
    return NULL;
  }
  return port;
}

void p4_port_close(p4_port *port) {
  if (port == NULL) return;
  if (port->driver != NULL) port->driver->close(port);
  p4_pcap_finish(port->capture_in);
  p4_pcap_finish(port->capture_out);
  free(port);
}

int p4_port_fd(const p4_port *port) {
  return port->driver != NULL && port->driver->fd != NULL ? port->driver->fd(port) : -1;
}

bool p4_port_pending(const p4_port *port) {
  return port->driver != NULL && port->driver->pending != NULL && port->driver->pending(port);
}

static void capture(p4_pcap_writer *writer, p4_packet *const *batch, int n, uint64_t time) {
  for (int i = 0; i < n; i++) (void)p4_pcap_write(writer, time, batch[i]->data, batch[i]->length);
}

int p4_port_receive(p4_port *port, p4_pool *pool, p4_packet **out, int max, uint64_t now) {
  if (port->driver == NULL) return 0;
  int n = port->driver->receive(port, pool, out, max, now);
  if (port->capture_in != NULL) capture(port->capture_in, out, n, port->epoch + now);
  return n;
}

int p4_port_send(p4_port *port, p4_packet *const *batch, int n, uint64_t now) {
  if (port->driver == NULL) {
    port->stats.tx_down += (uint64_t)n;
    return n;
  }
  int taken = port->driver->send(port, batch, n, now);
  if (port->capture_out != NULL) capture(port->capture_out, batch, taken, port->epoch + now);
  return taken;
}

void p4_port_refused(p4_port *port, int error) {
  switch (error) {
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
      port->stats.tx_down++;
      break;
    case EMSGSIZE:
      port->stats.tx_oversize++;
      break;
    default:
      port->stats.tx_error++;
      port->error_code = error;
  }
}

int p4_port_flush(p4_port *port) {
  int result = port->driver != NULL && port->driver->flush != NULL ? port->driver->flush(port) : 0;
  if (port->capture_in != NULL && result == 0) result = p4_pcap_flush(port->capture_in);
  if (port->capture_out != NULL && result == 0) result = p4_pcap_flush(port->capture_out);
  return result;
}

const p4_port_stats *p4_port_statistics(p4_port *port) {
  if (port->driver != NULL && port->driver->statistics != NULL) port->driver->statistics(port);
  return &port->stats;
}
