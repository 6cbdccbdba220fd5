/* SPDX-License-Identifier: Apache-2.0
 *
 * The hash algorithms over fields of several widths, with base and range.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<32> a;
    bit<8>  b;
    bit<8>  base;
    bit<16> size;
}

header mark_t {
    bit<16> crc16;
    bit<32> crc32;
    bit<16> csum16;
    bit<16> xor16;
    bit<32> identity;
    bit<16> in_range;
    bit<16> odd_bits;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hash(hdr.mark.crc16, HashAlgorithm.crc16, 16w0, { hdr.key.a, hdr.key.b }, 32w0x10000);
        hash(hdr.mark.crc32, HashAlgorithm.crc32, 32w0, { hdr.key.a, hdr.key.b }, 64w0x100000000);
        hash(hdr.mark.csum16, HashAlgorithm.csum16, 16w0, { hdr.key.a, hdr.key.b }, 32w0x10000);
        hash(hdr.mark.xor16, HashAlgorithm.xor16, 16w0, { hdr.key.a, hdr.key.b }, 32w0x10000);
        hash(hdr.mark.identity, HashAlgorithm.identity, 32w0, { hdr.key.a }, 64w0x100000000);
        // Base and range come from the packet; a range of 0 counts as 1.
        hash(hdr.mark.in_range, HashAlgorithm.crc16, (bit<16>)hdr.key.base, { hdr.key.a, hdr.key.b },
             hdr.key.size);
        // 12 bits and a constant: the bits are packed before they are hashed.
        hash(hdr.mark.odd_bits, HashAlgorithm.crc16, 16w0, { hdr.key.a[11:0], 4w5, hdr.key.b }, 32w0x10000);
    }
}

#include "include/v1switch.p4"
