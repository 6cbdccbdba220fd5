/* SPDX-License-Identifier: Apache-2.0 */
#include "offload.h"

#include <string.h>

enum {
  ETHER_IPV4 = 0x0800,
  ETHER_IPV6 = 0x86dd,
  ETHER_VLAN = 0x8100,
  ETHER_SERVICE_VLAN = 0x88a8,
  PROTOCOL_TCP = 6,
  PROTOCOL_UDP = 17,
  IPV4_BYTES = 20,
  IPV6_BYTES = 40,
  TCP_BYTES = 20,
  UDP_BYTES = 8,
  TCP_FIN = 0x01,
  TCP_PSH = 0x08,
  TCP_CWR = 0x80,
};

static uint16_t read16(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }

static void write16(uint8_t *bytes, uint32_t value) {
  bytes[0] = (uint8_t)(value >> 8);
  bytes[1] = (uint8_t)value;
}

/* The sum in host order; folding and byte order commute (RFC 1071, section 2). */
static uint16_t fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

static uint16_t ones_complement_sum(const uint8_t *data, uint32_t length) {
  uint64_t sum = 0;
  for (; length >= 4; data += 4, length -= 4) {
    uint32_t word;
    memcpy(&word, data, sizeof word);
    sum += word;
  }
  uint8_t rest[4] = {0};
  memcpy(rest, data, length);
  uint32_t word;
  memcpy(&word, rest, sizeof word);
  return fold(sum + word);
}

bool p4_complete_checksum(uint8_t *frame, uint32_t length, uint32_t start, uint32_t offset) {
  if (start > length || offset > length - start || length - start - offset < sizeof(uint16_t)) return false;
  uint16_t checksum = (uint16_t)~ones_complement_sum(frame + start, length - start);
  /* Zero would say "no checksum" in UDP; its other form means the same everywhere (RFC 768). */
  if (checksum == 0) checksum = 0xffff;
  memcpy(frame + start + offset, &checksum, sizeof checksum);
  return true;
}

/* Offset of the IP header, 0 when there is none: whole, and of the version that the Ethernet type says. */
static uint32_t find_network(const uint8_t *frame, uint32_t length, uint16_t *type) {
  for (uint32_t at = 12, tags = 0; at + 2 <= length && tags <= 2; at += 4, tags++) {
    *type = read16(frame + at);
    if (*type == ETHER_VLAN || *type == ETHER_SERVICE_VLAN) continue;
    uint32_t left = length - at - 2;
    bool ipv4 = *type == ETHER_IPV4 && left >= IPV4_BYTES && frame[at + 2] >> 4 == 4;
    bool ipv6 = *type == ETHER_IPV6 && left >= IPV6_BYTES && frame[at + 2] >> 4 == 6;
    return ipv4 || ipv6 ? at + 2 : 0;
  }
  return 0;
}

/* The pseudo header (RFC 9293, 3.1; RFC 8200, 8.1), as the field holds it before the checksum is completed. */
static uint16_t pseudo_header(const uint8_t *network, uint32_t bytes, uint8_t protocol) {
  bool ipv4 = network[0] >> 4 == 4;
  const uint8_t *addresses = network + (ipv4 ? 12 : 8);
  uint64_t sum = (uint64_t)protocol + bytes;
  for (uint32_t i = 0; i < (ipv4 ? 8u : 32u); i += 2) sum += read16(addresses + i);
  return fold(sum);
}

static uint32_t checksum_offset(bool tcp) { return tcp ? 16 : 6; }

void p4_guess_checksum(uint8_t *frame, uint32_t length) {
  uint16_t type;
  uint32_t network = find_network(frame, length, &type);
  if (network == 0) return;
  uint8_t *packet = frame + network, protocol;
  uint32_t header = IPV6_BYTES, total;
  if (type == ETHER_IPV4) {
    if (read16(packet + 6) & 0x3fff) return; /* a fragment */
    header = (packet[0] & 15u) * 4;
    total = read16(packet + 2);
    protocol = packet[9];
  } else {
    total = IPV6_BYTES + read16(packet + 4);
    protocol = packet[6];
  }
  if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) return;
  uint32_t offset = checksum_offset(protocol == PROTOCOL_TCP);
  if (header < IPV4_BYTES || total > length - network || total < header || total - header < offset + 2) return;
  if (read16(packet + header + offset) == pseudo_header(packet, total - header, protocol))
    p4_complete_checksum(packet, total, header, offset);
}

bool p4_segments_begin(p4_segments *segments, const uint8_t *frame, uint32_t length, uint32_t transport,
                       uint32_t size, bool tcp, uint32_t room) {
  uint16_t type;
  uint32_t network = find_network(frame, length, &type);
  uint32_t shortest = network + (type == ETHER_IPV4 ? IPV4_BYTES : IPV6_BYTES);
  uint32_t fixed = tcp ? TCP_BYTES : UDP_BYTES;
  if (network == 0 || size == 0 || transport < shortest || transport > length || length - transport < fixed)
    return false;
  uint32_t headers = transport + (tcp ? (frame[transport + 12] >> 4) * 4u : UDP_BYTES);
  if (headers < transport + fixed || headers >= length || headers > room || size > room - headers) return false;
  *segments = (p4_segments){.length = length,
                            .network = network,
                            .transport = transport,
                            .headers = headers,
                            .size = size,
                            .next = headers,
                            .tcp = tcp};
  return true;
}

uint32_t p4_segments_next(p4_segments *segments, const uint8_t *frame, uint8_t *out) {
  uint32_t left = segments->length - segments->next;
  if (left == 0) return 0;
  uint32_t payload = left < segments->size ? left : segments->size;
  uint32_t length = segments->headers + payload, done = segments->next - segments->headers;
  memcpy(out, frame, segments->headers);
  memcpy(out + segments->headers, frame + segments->next, payload);
  segments->next += payload;

  uint8_t *network = out + segments->network, *transport = out + segments->transport;
  uint32_t transport_bytes = length - segments->transport;
  if (network[0] >> 4 == 4) {
    write16(network + 2, length - segments->network);
    write16(network + 4, read16(network + 4) + done / segments->size);
    write16(network + 10, 0);
    p4_complete_checksum(network, segments->transport - segments->network, 0, 10);
  } else {
    write16(network + 4, length - segments->network - IPV6_BYTES);
  }
  if (segments->tcp) {
    uint32_t sequence = ((uint32_t)read16(transport + 4) << 16 | read16(transport + 6)) + done;
    write16(transport + 4, sequence >> 16);
    write16(transport + 6, sequence);
    if (left != payload) transport[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (done != 0) transport[13] &= (uint8_t)~TCP_CWR;
  } else {
    write16(transport + 4, transport_bytes);
  }
  uint32_t offset = checksum_offset(segments->tcp);
  uint8_t protocol = segments->tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  write16(transport + offset, pseudo_header(network, transport_bytes, protocol));
  p4_complete_checksum(out, length, segments->transport, offset);
  return length;
}
