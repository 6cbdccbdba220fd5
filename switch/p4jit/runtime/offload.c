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
};

static uint16_t read16(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }

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

void p4_guess_checksum(uint8_t *frame, uint32_t length) {
  uint32_t at = 12;
  uint16_t type = 0;
  for (; at + 2 <= length; at += 4) {
    type = read16(frame + at);
    if (type != ETHER_VLAN && type != ETHER_SERVICE_VLAN) break;
  }
  at += 2;
  if (at > length) return;
  uint8_t *packet = frame + at;
  uint32_t left = length - at, header, total, addresses, address_bytes;
  uint8_t protocol;
  if (type == ETHER_IPV4 && left >= 20) {
    header = (packet[0] & 15u) * 4;
    total = read16(packet + 2);
    protocol = packet[9];
    addresses = 12, address_bytes = 8;
    if (read16(packet + 6) & 0x3fff) return; /* a fragment */
  } else if (type == ETHER_IPV6 && left >= 40) {
    header = 40;
    total = 40u + read16(packet + 4);
    protocol = packet[6];
    addresses = 8, address_bytes = 32;
  } else {
    return;
  }
  if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) return;
  uint32_t offset = protocol == PROTOCOL_TCP ? 16 : 6;
  if (header < 20 || total > left || total < header || total - header < offset + 2) return;
  uint8_t *field = packet + header + offset;
  uint64_t sum = (uint64_t)protocol + (total - header);
  for (uint32_t i = 0; i < address_bytes; i += 2) sum += read16(packet + addresses + i);
  if (read16(field) == fold(sum)) p4_complete_checksum(packet, total, header, offset);
}
