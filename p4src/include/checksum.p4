// SPDX-License-Identifier: Apache-2.0
// Internet checksums (RFC 1071), computed and kept true, without an extern.
//
// All sums are ones' complement sums of 16-bit words, gathered in 32 bits and folded once, at the end: 65,535 words
// fit. A header that changes is not summed again: what changed is (RFC 1624, equation 3: HC' = ~(~HC + ~m + m')).
// `change_*` gives ~m + m' of a field; the changes of several fields add up, whichever header's they are:
//
//     bit<32> change = change_16(old_ttl, new_ttl) + change_32(old_addr, new_addr);
//     checksum = changed_checksum(checksum, change);
//
// Fields must begin at an even byte of what is summed.

#ifndef DIN_CHECKSUM_P4_
#define DIN_CHECKSUM_P4_

bit<32> sum_32(in bit<32> value) {
    return (bit<32>)value[31:16] + (bit<32>)value[15:0];
}

bit<32> sum_48(in bit<48> value) {
    return (bit<32>)value[47:32] + (bit<32>)value[31:16] + (bit<32>)value[15:0];
}

bit<32> sum_128(in bit<128> value) {
    return (bit<32>)value[127:112] + (bit<32>)value[111:96] + (bit<32>)value[95:80] + (bit<32>)value[79:64] +
           (bit<32>)value[63:48] + (bit<32>)value[47:32] + (bit<32>)value[31:16] + (bit<32>)value[15:0];
}

// The halves of the sum change places and are added to themselves: the low one's carry gets to the high one, which
// is the ones' complement sum of both.
bit<16> fold(in bit<32> sum) {
    return (sum + (sum[15:0] ++ sum[31:16]))[31:16];
}

bit<32> change_16(in bit<16> before, in bit<16> after) {
    return (bit<32>)(~before) + (bit<32>)after;
}

bit<32> change_128(in bit<128> before, in bit<128> after) {
    return sum_128(~before) + sum_128(after);
}

bit<16> changed_checksum(in bit<16> checksum, in bit<32> change) {
    return ~fold((bit<32>)(~checksum) + change);
}

#endif  // DIN_CHECKSUM_P4_
