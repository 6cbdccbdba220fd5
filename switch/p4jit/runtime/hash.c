/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

static uint32_t load32(const uint8_t *data) {
  uint32_t word;
  memcpy(&word, data, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap32(word);
#endif
  return word;
}

static uint64_t load64(const uint8_t *data) { return load32(data) | (uint64_t)load32(data + 4) << 32; }

/* ---- CRCs ----------------------------------------------------------------------------------------- */

/* A CRC table is linear over GF(2): the entry of a byte is the XOR of the entries of its bits, so that eight
 * numbers, those of bits 0 to 7, make a table at compile time. */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                       \
  (((i) & 1) * (b0)) ^ (((i) >> 1 & 1) * (b1)) ^ (((i) >> 2 & 1) * (b2)) ^ (((i) >> 3 & 1) * (b3)) ^   \
      (((i) >> 4 & 1) * (b4)) ^ (((i) >> 5 & 1) * (b5)) ^ (((i) >> 6 & 1) * (b6)) ^ (((i) >> 7 & 1) * (b7))
#define ENTRIES4(i, ...) \
  ENTRY((i), __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES16(i, ...)                                                                   \
  ENTRIES4((i), __VA_ARGS__), ENTRIES4((i) + 4, __VA_ARGS__), ENTRIES4((i) + 8, __VA_ARGS__), \
      ENTRIES4((i) + 12, __VA_ARGS__)
#define ENTRIES64(i, ...)                                                                         \
  ENTRIES16((i), __VA_ARGS__), ENTRIES16((i) + 16, __VA_ARGS__), ENTRIES16((i) + 32, __VA_ARGS__), \
      ENTRIES16((i) + 48, __VA_ARGS__)
#define TABLE(...) \
  { ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__), ENTRIES64(192, __VA_ARGS__) }

/* Row s is the effect of a byte that s more bytes follow. */
static const uint32_t crc32_tables[8][256] = {
    TABLE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190, 0xedb88320),
    TABLE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05, 0x3b83984b),
    TABLE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0, 0xe1351b80),
    TABLE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d, 0xed59b63b),
    TABLE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849, 0xb1e6b092),
    TABLE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c, 0x1eb014d8),
    TABLE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579, 0x8816eaf2),
    TABLE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed, 0x533b85da),
};
static const uint32_t crc16_tables[8][256] = {
    TABLE(0xc0c1, 0xc181, 0xc301, 0xc601, 0xcc01, 0xd801, 0xf001, 0xa001),
    TABLE(0x9001, 0x6001, 0xc002, 0xc007, 0xc00d, 0xc019, 0xc031, 0xc061),
    TABLE(0xc051, 0xc0a1, 0xc141, 0xc281, 0xc501, 0xca01, 0xd401, 0xe801),
    TABLE(0xfc01, 0xb801, 0x3001, 0x6002, 0xc004, 0xc00b, 0xc015, 0xc029),
    TABLE(0xc03d, 0xc079, 0xc0f1, 0xc1e1, 0xc3c1, 0xc781, 0xcf01, 0xde01),
    TABLE(0xd101, 0xe201, 0x8401, 0x4801, 0x9002, 0x6007, 0xc00e, 0xc01f),
    TABLE(0xc010, 0xc023, 0xc045, 0xc089, 0xc111, 0xc221, 0xc441, 0xc881),
    TABLE(0xccc1, 0xd981, 0xf301, 0xa601, 0x0c01, 0x1802, 0x3004, 0x6008),
};
static const uint16_t ccitt_table[256] = TABLE(0x1021, 0x2042, 0x4084, 0x8108, 0x1231, 0x2462, 0x48c4, 0x9188);
static const uint8_t crc8_table[256] = TABLE(0x07, 0x0e, 0x1c, 0x38, 0x70, 0xe0, 0xc7, 0x89);
static const uint64_t crc64_table[256] =
    TABLE(0x01b0000000000000u, 0x0360000000000000u, 0x06c0000000000000u, 0x0d80000000000000u, 0x1b00000000000000u,
          0x3600000000000000u, 0x6c00000000000000u, 0xd800000000000000u);

/* A reflected CRC of at most 32 bits, eight bytes a step. */
static uint32_t reflected(const uint32_t tables[8][256], uint32_t crc, const uint8_t *data, size_t length) {
  for (; length >= 8; data += 8, length -= 8) {
    uint32_t low = load32(data) ^ crc, high = load32(data + 4);
    crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^
          tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^ tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
  }
  for (size_t i = 0; i < length; i++)
    crc = tables[0][(crc ^ data[i]) & 0xff] ^ crc >> 8;
  return crc;
}

uint64_t p4_hash_crc16(const uint8_t *data, size_t length) { return reflected(crc16_tables, 0, data, length); }

uint64_t p4_hash_crc32(const uint8_t *data, size_t length) {
  return ~reflected(crc32_tables, 0xffffffffu, data, length);
}

uint64_t p4_hash_crcCCITT(const uint8_t *data, size_t length) {
  uint16_t crc = 0xffff;
  for (size_t i = 0; i < length; i++)
    crc = (uint16_t)(ccitt_table[crc >> 8 ^ data[i]] ^ crc << 8);
  return crc;
}

uint64_t p4_hash_crc8_custom(const uint8_t *data, size_t length) {
  uint8_t crc = 0;
  for (size_t i = 0; i < length; i++)
    crc = crc8_table[crc ^ data[i]];
  return crc;
}

uint64_t p4_hash_crc16_custom(const uint8_t *data, size_t length) { return p4_hash_crc16(data, length); }

uint64_t p4_hash_crc32_custom(const uint8_t *data, size_t length) { return p4_hash_crc32(data, length); }

uint64_t p4_hash_crc64_custom(const uint8_t *data, size_t length) {
  uint64_t crc = 0;
  for (size_t i = 0; i < length; i++)
    crc = crc64_table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
  return crc;
}

/* ---- XXH64 (xxHash fast digest algorithm, version 0.1.1) ------------------------------------------ */

#define PRIME1 0x9e3779b185ebca87u
#define PRIME2 0xc2b2ae3d27d4eb4fu
#define PRIME3 0x165667b19e3779f9u
#define PRIME4 0x85ebca77c2b2ae63u
#define PRIME5 0x27d4eb2f165667c5u

static uint64_t rotate(uint64_t x, unsigned bits) { return x << bits | x >> (64 - bits); }

static uint64_t xxh_round(uint64_t accumulator, uint64_t lane) {
  return rotate(accumulator + lane * PRIME2, 31) * PRIME1;
}

uint64_t p4_hash_xxh64(const uint8_t *data, size_t length) {
  uint64_t hash = PRIME5;
  size_t left = length;
  if (left >= 32) {
    uint64_t lanes[4] = {PRIME1 + PRIME2, PRIME2, 0, -PRIME1};
    for (; left >= 32; data += 32, left -= 32)
      for (unsigned i = 0; i < 4; i++)
        lanes[i] = xxh_round(lanes[i], load64(data + 8 * i));
    hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (unsigned i = 0; i < 4; i++)
      hash = (hash ^ xxh_round(0, lanes[i])) * PRIME1 + PRIME4;
  }
  hash += length;
  for (; left >= 8; data += 8, left -= 8)
    hash = rotate(hash ^ xxh_round(0, load64(data)), 27) * PRIME1 + PRIME4;
  for (; left >= 4; data += 4, left -= 4)
    hash = rotate(hash ^ load32(data) * PRIME1, 23) * PRIME2 + PRIME3;
  for (; left > 0; data++, left--)
    hash = rotate(hash ^ *data * PRIME5, 11) * PRIME1;
  hash = (hash ^ hash >> 33) * PRIME2;
  hash = (hash ^ hash >> 29) * PRIME3;
  return hash ^ hash >> 32;
}
