// SPDX-License-Identifier: Apache-2.0
// HalfSipHash-2-4 (Aumasson, Bernstein) of 13 words with a 64-bit key, as p4c for bmv2 can take it.
//
// There are no loops, so that 14 times two rounds and a last four stand here one after the other. Copy propagation
// would write each value into the expressions of all that follow, and those double with every round; it stops at
// a condition. So each half of a round is under one that always holds (`present`: the packet has an option). One
// action, because a table for every call would be as large and slower.

#ifndef DIN_HALFSIPHASH_P4_
#define DIN_HALFSIPHASH_P4_

// Four bytes as the little-endian word that they are, and two.
bit<32> swap32(in bit<32> bytes) {
    return (bytes << 24) | ((bytes & 0xff00) << 8) | ((bytes >> 8) & 0xff00) | (bytes >> 24);
}

bit<16> swap16(in bit<16> bytes) {
    return bytes[7:0] ++ bytes[15:8];
}

// These work on variables v0 to v3, `word` and `present` of the action that they are in.
#define SIP_HALF_ROUND_1 \
    v0 = v0 + v1; \
    v1 = (v1 << 5 | v1 >> 27) ^ v0; \
    v0 = v0 << 16 | v0 >> 16; \
    v2 = v2 + v3; \
    v3 = (v3 << 8 | v3 >> 24) ^ v2;

#define SIP_HALF_ROUND_2 \
    v0 = v0 + v3; \
    v3 = (v3 << 7 | v3 >> 25) ^ v0; \
    v2 = v2 + v1; \
    v1 = (v1 << 13 | v1 >> 19) ^ v2; \
    v2 = v2 << 16 | v2 >> 16;

#define SIP_ROUND \
    if (present) { SIP_HALF_ROUND_1 } \
    if (present) { SIP_HALF_ROUND_2 }

#define SIP_ABSORB(bytes) \
    if (present) { word = bytes; } \
    if (present) { v3 = v3 ^ word; SIP_HALF_ROUND_1 } \
    if (present) { SIP_HALF_ROUND_2 } \
    if (present) { SIP_HALF_ROUND_1 } \
    if (present) { SIP_HALF_ROUND_2 v0 = v0 ^ word; }

#endif  // DIN_HALFSIPHASH_P4_
