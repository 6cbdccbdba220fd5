/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash and checksum algorithms, by the names they have in bmv2's JSON and with its results: a number of the
 * algorithm's width, most significant byte first where it is read from bytes.
 *
 * Not here: round_robin and round_robin_consistent (they hold state and hash nothing) and toeplitz (bmv2's
 * key is all zero until a Thrift call sets one, so that every hash is 0).
 */
#ifndef P4JIT_HASH_H
#define P4JIT_HASH_H

#include <string.h>

#include "core.h"

/* CRC-16/ARC: polynomial 0x8005 reflected, initial value 0. */
uint64_t p4_hash_crc16(const uint8_t *data, size_t length);
/* CRC-32/ISO-HDLC, the Ethernet FCS: 0x04c11db7 reflected, initial value and final XOR all ones. */
uint64_t p4_hash_crc32(const uint8_t *data, size_t length);
/* CRC-16/IBM-3740 ("CCITT-FALSE"): 0x1021, initial value 0xffff. */
uint64_t p4_hash_crcCCITT(const uint8_t *data, size_t length);

/* The custom CRCs, with the parameters bmv2 starts them with (P4Runtime has no way to change them). */
uint64_t p4_hash_crc8_custom(const uint8_t *data, size_t length);  /* CRC-8/SMBUS: 0x07 */
uint64_t p4_hash_crc16_custom(const uint8_t *data, size_t length); /* as crc16 */
uint64_t p4_hash_crc32_custom(const uint8_t *data, size_t length); /* as crc32 */
/* Polynomial 0x1b reflected, initial value and final XOR 0. */
uint64_t p4_hash_crc64_custom(const uint8_t *data, size_t length);

/* XXH64 with seed 0. */
uint64_t p4_hash_xxh64(const uint8_t *data, size_t length);

/* The Internet checksum (RFC 1071) of at most 2^33 bytes; an odd byte is padded with zero. Inline, so that a
 * length known to the compiler unrolls. */
P4_INLINE uint64_t p4_hash_csum16(const uint8_t *data, size_t length) {
  /* The sum does not depend on byte order (RFC 1071, section 2.B): add host words, swap once. 64 bits hold
   * 2^32 words without a carry. */
  uint64_t sum = 0;
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    sum += (word & 0xffffffffu) + (word >> 32);
  }
  if (length >= 4) {
    uint32_t word;
    memcpy(&word, data, 4);
    sum += word;
    data += 4;
    length -= 4;
  }
  if (length >= 2) {
    uint16_t word;
    memcpy(&word, data, 2);
    sum += word;
    data += 2;
    length -= 2;
  }
  if (length) {
    uint16_t word = 0;
    memcpy(&word, data, 1);
    sum += word;
  }
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  uint16_t result = (uint16_t)~sum;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  result = __builtin_bswap16(result);
#endif
  return result;
}

/* bmv2's older name of csum16. */
P4_INLINE uint64_t p4_hash_cksum16(const uint8_t *data, size_t length) { return p4_hash_csum16(data, length); }

/* XOR of the 16-bit words, the last one padded with zero. */
P4_INLINE uint64_t p4_hash_xor16(const uint8_t *data, size_t length) {
  uint32_t result = 0;
  size_t i = 0;
  for (; i + 2 <= length; i += 2)
    result ^= (uint32_t)data[i] << 8 | data[i + 1];
  if (i < length)
    result ^= (uint32_t)data[i] << 8;
  return result;
}

/* XOR of the 32-bit words, the last one padded with zero. */
P4_INLINE uint64_t p4_hash_xor32(const uint8_t *data, size_t length) {
  uint32_t result = 0;
  for (size_t i = 0; i < length; i++)
    result ^= (uint32_t)data[i] << (24 - 8 * (i & 3));
  return result;
}

/* The first eight bytes as a number; fewer than eight are a smaller number, not padded. */
P4_INLINE uint64_t p4_hash_identity(const uint8_t *data, size_t length) {
  uint64_t result = 0;
  for (size_t i = 0; i < length && i < 8; i++)
    result = result << 8 | data[i];
  return result;
}

#endif
