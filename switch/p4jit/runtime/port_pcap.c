/* SPDX-License-Identifier: Apache-2.0
 *
 * A port on capture files: frames come from one, in its order and as fast as they are taken, and go to
 * another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pcap.h"
#include "port_driver.h"

#define ETHERNET_BYTES 14u

typedef struct pcap_port {
  p4_pcap_reader *input; /* NULL: none, or all read */
  p4_pcap_writer *output;
} pcap_port;

static void end_input(pcap_port *state) {
  p4_pcap_close(state->input);
  state->input = NULL;
}

static int pcap_receive(p4_port *port, p4_pool *pool, p4_packet **out, int max, uint64_t now) {
  pcap_port *state = port->state;
  int n = 0;
  while (n < max && state->input != NULL) {
    p4_packet *packet = p4_pool_get(pool);
    if (packet == NULL) break; /* the file can wait */
    uint64_t time;
    uint32_t length = 0;
    int result = p4_pcap_read(state->input, packet->data, P4_FRAME_BYTES, &length, &time);
    if (result <= 0) {
      port->error_code = -result;
      end_input(state);
    } else if (length > P4_FRAME_BYTES) {
      port->stats.rx_oversize++;
    } else if (length < ETHERNET_BYTES) {
      port->stats.rx_short++;
    } else {
      packet->length = length;
      packet->ingress_port = port->number;
      packet->arrival = now;
      port->stats.rx_packets++;
      port->stats.rx_bytes += length;
      out[n++] = packet;
      continue;
    }
    p4_pool_put(pool, packet);
  }
  return n;
}

static int pcap_send(p4_port *port, p4_packet *const *batch, int n, uint64_t now) {
  pcap_port *state = port->state;
  for (int i = 0; i < n; i++) {
    int result = state->output == NULL
                     ? 0
                     : p4_pcap_write(state->output, port->epoch + now, batch[i]->data, batch[i]->length);
    if (result < 0) {
      p4_port_refused(port, -result);
      continue;
    }
    port->stats.tx_packets++;
    port->stats.tx_bytes += batch[i]->length;
  }
  return n;
}

static bool pcap_pending(const p4_port *port) { return ((const pcap_port *)port->state)->input != NULL; }

static int pcap_flush(p4_port *port) {
  pcap_port *state = port->state;
  return state->output == NULL ? 0 : p4_pcap_flush(state->output);
}

static void pcap_close(p4_port *port) {
  pcap_port *state = port->state;
  if (state == NULL) return;
  end_input(state);
  p4_pcap_finish(state->output);
  free(state);
  port->state = NULL;
  port->driver = NULL;
}

static const p4_port_driver driver = {
    .pending = pcap_pending,
    .receive = pcap_receive,
    .send = pcap_send,
    .flush = pcap_flush,
    .close = pcap_close,
};

int p4_port_pcap_open(p4_port *port, const p4_port_config *config, char *error, size_t error_bytes) {
  pcap_port *state = calloc(1, sizeof *state);
  if (state == NULL) {
    snprintf(error, error_bytes, "port %u: out of memory", port->number);
    return -ENOMEM;
  }
  port->state = state;
  char reason[512] = "";
  bool opened = true;
  if (config->input != NULL) {
    state->input = p4_pcap_open(config->input, reason, sizeof reason);
    opened = state->input != NULL;
  }
  if (opened && config->output != NULL) {
    state->output = p4_pcap_create(config->output, reason, sizeof reason);
    opened = state->output != NULL;
  }
  if (opened) {
    port->driver = &driver;
    return 0;
  }
  snprintf(error, error_bytes, "port %u: %s", port->number, reason);
  pcap_close(port);
  return -EINVAL;
}
