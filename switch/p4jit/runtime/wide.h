/* SPDX-License-Identifier: Apache-2.0
 *
 * Integers wider than 128 bits: two's complement in limbs of 64 bits, least significant first. Results may
 * overlap operands unless said otherwise. Rare in real programs, so simple rather than fast.
 */
#ifndef P4JIT_WIDE_H
#define P4JIT_WIDE_H

#include <string.h>

#include "core.h"

#define W_FN static inline __attribute__((unused))

W_FN void w_set_u64(uint64_t *d, unsigned n, uint64_t v) {
  memset(d, 0, n * 8);
  d[0] = v;
}

W_FN void w_set_i64(uint64_t *d, unsigned n, int64_t v) {
  memset(d, v < 0 ? 0xff : 0, n * 8);
  d[0] = (uint64_t)v;
}

W_FN void w_set_u128(uint64_t *d, unsigned n, p4_u128 v) {
  memset(d, 0, n * 8);
  d[0] = (uint64_t)v;
  if (n > 1) d[1] = (uint64_t)(v >> 64);
}

W_FN void w_set_i128(uint64_t *d, unsigned n, p4_i128 v) {
  memset(d, v < 0 ? 0xff : 0, n * 8);
  d[0] = (uint64_t)v;
  if (n > 1) d[1] = (uint64_t)((p4_u128)v >> 64);
}

/* Copy m limbs into n, dropping the top or filling with zero or the sign. */
W_FN void w_set(uint64_t *d, unsigned n, const uint64_t *a, unsigned m, bool is_signed) {
  unsigned k = n < m ? n : m;
  uint64_t fill = is_signed && (a[m - 1] >> 63) ? UINT64_MAX : 0;
  memmove(d, a, k * 8);
  for (; k < n; k++) d[k] = fill;
}

W_FN void w_add(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  uint64_t carry = 0;
  for (unsigned i = 0; i < n; i++) {
    p4_u128 s = (p4_u128)a[i] + b[i] + carry;
    d[i] = (uint64_t)s;
    carry = (uint64_t)(s >> 64);
  }
}

W_FN void w_sub(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  uint64_t borrow = 0;
  for (unsigned i = 0; i < n; i++) {
    p4_u128 s = (p4_u128)a[i] - b[i] - borrow;
    d[i] = (uint64_t)s;
    borrow = (uint64_t)(s >> 64) & 1;
  }
}

/* d must not overlap a or b. */
W_FN void w_mul(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  memset(d, 0, n * 8);
  for (unsigned i = 0; i < n; i++) {
    uint64_t carry = 0;
    for (unsigned j = 0; i + j < n; j++) {
      p4_u128 s = (p4_u128)a[i] * b[j] + d[i + j] + carry;
      d[i + j] = (uint64_t)s;
      carry = (uint64_t)(s >> 64);
    }
  }
}

W_FN void w_and(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  for (unsigned i = 0; i < n; i++) d[i] = a[i] & b[i];
}

W_FN void w_or(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  for (unsigned i = 0; i < n; i++) d[i] = a[i] | b[i];
}

W_FN void w_xor(uint64_t *d, const uint64_t *a, const uint64_t *b, unsigned n) {
  for (unsigned i = 0; i < n; i++) d[i] = a[i] ^ b[i];
}

W_FN void w_not(uint64_t *d, const uint64_t *a, unsigned n) {
  for (unsigned i = 0; i < n; i++) d[i] = ~a[i];
}

W_FN void w_shl(uint64_t *d, const uint64_t *a, uint64_t by, unsigned n) {
  uint64_t skip = by / 64;
  unsigned bits = (unsigned)(by % 64);
  for (unsigned i = n; i-- > 0;) {
    uint64_t v = 0;
    if (skip <= i) {
      v = a[i - skip] << bits;
      if (bits && skip < i) v |= a[i - skip - 1] >> (64 - bits);
    }
    d[i] = v;
  }
}

W_FN void w_shr(uint64_t *d, const uint64_t *a, uint64_t by, unsigned n, bool is_signed) {
  uint64_t skip = by / 64;
  unsigned bits = (unsigned)(by % 64);
  uint64_t fill = is_signed && (a[n - 1] >> 63) ? UINT64_MAX : 0;
  for (unsigned i = 0; i < n; i++) {
    uint64_t low = skip < n - i ? a[i + skip] : fill;
    uint64_t high = skip + 1 < n - i ? a[i + skip + 1] : fill;
    d[i] = bits ? low >> bits | high << (64 - bits) : low;
  }
}

W_FN int w_cmp(const uint64_t *a, const uint64_t *b, unsigned n, bool is_signed) {
  if (is_signed && (a[n - 1] >> 63) != (b[n - 1] >> 63)) return a[n - 1] >> 63 ? -1 : 1;
  for (unsigned i = n; i-- > 0;)
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

/* Keep the low `bits` bits, filling the rest with zero or with the sign bit. */
W_FN void w_cut(uint64_t *d, const uint64_t *a, unsigned bits, unsigned n, bool is_signed) {
  memmove(d, a, n * 8);
  if (bits >= n * 64) return;
  uint64_t fill = is_signed && bits > 0 && (a[(bits - 1) / 64] >> (bits - 1) % 64 & 1) ? UINT64_MAX : 0;
  unsigned limb = bits / 64;
  uint64_t keep = bits % 64 ? (UINT64_C(1) << bits % 64) - 1 : 0;
  d[limb] = (d[limb] & keep) | (fill & ~keep);
  for (unsigned i = limb + 1; i < n; i++) d[i] = fill;
}

/* A shift count: what does not fit 64 bits shifts everything out all the same. */
W_FN uint64_t p4_shift_amount(const uint64_t *a, unsigned n) {
  for (unsigned i = 1; i < n; i++)
    if (a[i]) return UINT64_MAX;
  return a[0];
}

/* Unsigned division, bit by bit; x / 0 is 0 and x % 0 is 0. q and r must not overlap a or b. */
W_FN void w_divide(uint64_t *q, uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned n) {
  bool zero = true;
  for (unsigned i = 0; i < n; i++) zero &= b[i] == 0;
  memset(q, 0, n * 8);
  memset(r, 0, n * 8);
  if (zero) return;
  for (unsigned bit = n * 64; bit-- > 0;) {
    w_shl(r, r, 1, n);
    r[0] |= a[bit / 64] >> bit % 64 & 1;
    if (w_cmp(r, b, n, false) >= 0) {
      w_sub(r, r, b, n);
      q[bit / 64] |= UINT64_C(1) << bit % 64;
    }
  }
}

#endif
