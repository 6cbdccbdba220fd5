/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdlib.h>

#include "random.h"

/* Bounds that keep every time below 2^64: of a rate, of delay and jitter, and of the time at which a frame is
 * still taken (146 years: only a link that is far too slow for what it is offered gets there). */
#define MOST_RATE ((uint64_t)1 << 62)
#define MOST_DELAY ((uint64_t)1 << 60)
#define HORIZON ((uint64_t)1 << 62)
#define BIT_NANOS 8000000000u    /* bits in a byte times ns in a second */

struct p4_link {
  p4_link_config config;
  uint64_t loss_below;     /* a draw of 63 bits below this is a loss */
  uint64_t loss_state[4];
  uint64_t jitter_state[4];
  /* The last bit leaves at busy - 1 + fraction / rate ns if fraction is not 0, else at busy. */
  uint64_t busy;
  uint64_t fraction;
  uint64_t last_delivery;
  p4_packet *head, *tail;  /* in order of delivery; tail only while head is not NULL */
  p4_link_status status;
};

int p4_link_configure(p4_link *link, const p4_link_config *config) {
  if (config->rate > MOST_RATE || config->delay > MOST_DELAY || config->jitter > MOST_DELAY || !(config->loss >= 0.0) ||
      config->loss > 1.0)
    return -1;
  if (config->rate != link->config.rate)
    link->fraction = 0;
  link->config = *config;
  link->loss_below = (uint64_t)(config->loss * 0x1p63);
  uint64_t seeds[4];
  p4_random_seed(seeds, config->seed);
  p4_random_seed(link->loss_state, seeds[0]);
  p4_random_seed(link->jitter_state, seeds[1]);
  return 0;
}

p4_link *p4_link_new(const p4_link_config *config) {
  p4_link *link = calloc(1, sizeof *link);
  if (link != NULL && p4_link_configure(link, config) < 0) {
    free(link);
    return NULL;
  }
  return link;
}

void p4_link_flush(p4_link *link, void (*release)(void *context, p4_packet *packet), void *context) {
  for (p4_packet *packet; (packet = link->head) != NULL;) {
    link->head = packet->next;
    packet->next = NULL;
    release(context, packet);
  }
  link->status.under_way = 0;
  link->last_delivery = 0;
}

void p4_link_free(p4_link *link, void (*release)(void *context, p4_packet *packet), void *context) {
  if (link == NULL)
    return;
  p4_link_flush(link, release, context);
  free(link);
}

/* Take the link for one frame. */
static void serialise(p4_link *link, uint64_t now, uint32_t bytes) {
  if (now > link->busy) {
    link->busy = now;
    link->fraction = 0;
  }
  uint64_t rate = link->config.rate;
  if (rate == 0)
    return;
  uint64_t units = bytes * (uint64_t)BIT_NANOS; /* time in ns / rate: below 2^63, and with the fraction 2^64 */
  if (link->fraction != 0) {
    link->busy--;
    units += link->fraction;
  }
  link->busy += units / rate;
  link->fraction = units % rate;
  if (link->fraction != 0)
    link->busy++;
}

static uint64_t delivery_time(p4_link *link) {
  uint64_t jitter = link->config.jitter;
  uint64_t at = link->busy + link->config.delay;
  if (jitter != 0) {
    /* offset - jitter is what is added; not below the end of serialisation. */
    uint64_t offset = p4_random_between(link->jitter_state, 0, 2 * jitter);
    at = at + offset >= link->busy + jitter ? at + offset - jitter : link->busy;
  }
  if (at < link->last_delivery)
    at = link->last_delivery;
  link->last_delivery = at;
  return at;
}

int p4_link_send(p4_link *link, p4_packet *packet, uint64_t now, uint32_t bytes) {
  if (link->status.under_way >= link->config.limit || link->busy > HORIZON || now > HORIZON) {
    link->status.dropped++;
    return P4_LINK_FULL;
  }
  serialise(link, now, bytes);
  if (link->loss_below != 0 && p4_random_next(link->loss_state) >> 1 < link->loss_below) {
    link->status.lost++;
    return P4_LINK_LOST;
  }
  packet->next = NULL;
  packet->arrival = delivery_time(link);
  if (link->head != NULL)
    link->tail->next = packet;
  else
    link->head = packet;
  link->tail = packet;
  link->status.sent_packets++;
  link->status.sent_bytes += bytes;
  link->status.under_way++;
  return P4_LINK_ACCEPTED;
}

uint64_t p4_link_busy_until(const p4_link *link) { return link->busy; }

p4_packet *p4_link_receive(p4_link *link, uint64_t now, uint64_t *at) {
  p4_packet *packet = link->head;
  if (packet == NULL || packet->arrival > now)
    return NULL;
  link->head = packet->next;
  packet->next = NULL;
  link->status.under_way--;
  *at = packet->arrival;
  return packet;
}

uint64_t p4_link_next_event(const p4_link *link) { return link->head != NULL ? link->head->arrival : P4_NEVER; }

void p4_link_status_get(const p4_link *link, p4_link_status *status) { *status = link->status; }
