/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields to integers and back: network byte order, any bit offset, any width.
 */
#ifndef P4JIT_BITS_H
#define P4JIT_BITS_H

#include <string.h>

#include "core.h"

P4_INLINE uint64_t p4_mask64(unsigned width) {
  return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

P4_INLINE p4_u128 p4_mask128(unsigned width) {
  return width >= 128 ? ~(p4_u128)0 : (((p4_u128)1) << width) - 1;
}

/* The low `width` bits as a two's complement number. */
P4_INLINE int64_t p4_sign64(uint64_t v, const unsigned width) {
  return (int64_t)(v << (64 - width)) >> (64 - width);
}

P4_INLINE uint64_t p4_min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

P4_INLINE uint16_t p4_swap16(uint16_t v) { return __builtin_bswap16(v); }
P4_INLINE uint32_t p4_swap32(uint32_t v) { return __builtin_bswap32(v); }
P4_INLINE uint64_t p4_swap64(uint64_t v) { return __builtin_bswap64(v); }
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "p4jit supports little-endian hosts only"
#endif

/* The big-endian integer in `bytes` (1..8) bytes. With a constant count this is one to three loads. */
P4_INLINE uint64_t p4_load(const uint8_t *p, const unsigned bytes) {
  uint64_t v = 0;
  unsigned i = 0;
  if (bytes == 8) {
    memcpy(&v, p, 8);
    return p4_swap64(v);
  }
  if (bytes & 4) {
    uint32_t w;
    memcpy(&w, p, 4);
    v = p4_swap32(w);
    i = 4;
  }
  if (bytes & 2) {
    uint16_t h;
    memcpy(&h, p + i, 2);
    v = v << 16 | p4_swap16(h);
    i += 2;
  }
  if (bytes & 1) v = v << 8 | p[i];
  return v;
}

P4_INLINE void p4_store(uint8_t *p, const unsigned bytes, uint64_t v) {
  unsigned i = 0;
  if (bytes == 8) {
    v = p4_swap64(v);
    memcpy(p, &v, 8);
    return;
  }
  if (bytes & 4) {
    uint32_t w = p4_swap32((uint32_t)(v >> (8 * (bytes - 4))));
    memcpy(p, &w, 4);
    i = 4;
  }
  if (bytes & 2) {
    uint16_t h = p4_swap16((uint16_t)(v >> (8 * (bytes - i - 2))));
    memcpy(p + i, &h, 2);
    i += 2;
  }
  if (bytes & 1) p[i] = (uint8_t)v;
}

/* `width` (1..128) bits at bit `offset`, counted from the most significant bit of p[0]. */
P4_INLINE p4_u128 p4_load_bits128(const uint8_t *p, const unsigned offset, const unsigned width) {
  const uint8_t *q = p + offset / 8;
  const unsigned skip = offset % 8;
  const unsigned bytes = (skip + width + 7) / 8;
  const unsigned spare = bytes * 8 - skip - width;
  p4_u128 v = 0;
  /* 128 bits off a byte boundary span 17 bytes: the first byte's bits are put on top afterwards. */
  for (unsigned i = bytes > 16 ? 1 : 0; i < bytes; i++) v = v << 8 | q[i];
  v >>= spare;
  if (bytes > 16) v |= (p4_u128)q[0] << (128 - spare);
  return v & p4_mask128(width);
}

P4_INLINE uint64_t p4_load_bits(const uint8_t *p, const unsigned offset, const unsigned width) {
  const unsigned skip = offset % 8;
  const unsigned bytes = (skip + width + 7) / 8;
  if (bytes > 8) return (uint64_t)p4_load_bits128(p, offset, width);
  return p4_load(p + offset / 8, bytes) >> (bytes * 8 - skip - width) & p4_mask64(width);
}

/* OR `width` (1..64) bits of v into bytes that are zero there. */
static inline __attribute__((unused)) void p4_put_bits(uint8_t *p, unsigned offset, unsigned width, uint64_t v) {
  while (width > 0) {
    unsigned room = 8 - offset % 8;
    unsigned take = width < room ? width : room;
    uint64_t part = v >> (width - take) & p4_mask64(take);
    p[offset / 8] |= (uint8_t)(part << (room - take));
    offset += take;
    width -= take;
  }
}

/* Two big-endian numbers of any lengths: less than, equal to or greater than 0. */
static inline __attribute__((unused)) int p4_compare_bytes(const uint8_t *a, uint32_t n, const uint8_t *b, uint32_t m) {
  for (; n > m; a++, n--)
    if (*a) return 1;
  for (; m > n; b++, m--)
    if (*b) return -1;
  return n ? memcmp(a, b, n) : 0;
}

/* Fields wider than 128 bits: limbs of 64 bits, least significant first. */
static inline __attribute__((unused)) void p4_load_limbs(const uint8_t *p, unsigned offset, unsigned width,
                                                          uint64_t *limbs) {
  unsigned count = (width + 63) / 64;
  for (unsigned i = 0; i < count; i++) {
    unsigned bits = i + 1 == count ? width - 64 * i : 64;
    limbs[i] = p4_load_bits(p, offset + width - 64 * i - bits, bits);
  }
}

static inline __attribute__((unused)) void p4_put_limbs(uint8_t *p, unsigned offset, unsigned width,
                                                         const uint64_t *limbs) {
  unsigned count = (width + 63) / 64;
  for (unsigned i = 0; i < count; i++) {
    unsigned bits = i + 1 == count ? width - 64 * i : 64;
    p4_put_bits(p, offset + width - 64 * i - bits, bits, limbs[i]);
  }
}

P4_INLINE void p4_put_bits128(uint8_t *p, unsigned offset, unsigned width, p4_u128 v) {
  const uint64_t limbs[2] = {(uint64_t)v, (uint64_t)(v >> 64)};
  p4_put_limbs(p, offset, width, limbs);
}

/* A byte string under construction, for hash inputs and digests whose fields may start at any bit. */
typedef struct p4_bits {
  uint8_t *bytes;
  uint32_t bits;
  uint32_t room; /* bytes */
} p4_bits;

P4_INLINE void p4_bits_extend(p4_bits *b, const unsigned width) {
  /* Bytes are zeroed as they are first reached, since p4_put_bits ORs. */
  uint32_t from = (b->bits + 7) / 8, to = (b->bits + width + 7) / 8;
  for (uint32_t i = from; i < to; i++) b->bytes[i] = 0;
}

P4_INLINE void p4_bits_put(p4_bits *b, const unsigned width, uint64_t v) {
  if ((b->bits + width + 7) / 8 > b->room) return;
  if (b->bits % 8 == 0 && width % 8 == 0 && width <= 64) {
    p4_store(b->bytes + b->bits / 8, width / 8, v);
  } else {
    p4_bits_extend(b, width);
    p4_put_bits(b->bytes, b->bits, width, v);
  }
  b->bits += width;
}

P4_INLINE void p4_bits_put_limbs(p4_bits *b, const unsigned width, const uint64_t *limbs) {
  if ((b->bits + width + 7) / 8 > b->room) return;
  p4_bits_extend(b, width);
  p4_put_limbs(b->bytes, b->bits, width, limbs);
  b->bits += width;
}

P4_INLINE void p4_bits_put128(p4_bits *b, const unsigned width, p4_u128 v) {
  const uint64_t limbs[2] = {(uint64_t)v, (uint64_t)(v >> 64)};
  p4_bits_put_limbs(b, width, limbs);
}

P4_INLINE void p4_bits_put_bytes(p4_bits *b, const uint8_t *p, uint32_t count) {
  if (b->bits % 8 != 0 || count > b->room - b->bits / 8) {
    for (uint32_t i = 0; i < count; i++) p4_bits_put(b, 8, p[i]);
    return;
  }
  memcpy(b->bytes + b->bits / 8, p, count);
  b->bits += count * 8;
}

#endif
