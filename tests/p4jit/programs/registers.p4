/* SPDX-License-Identifier: Apache-2.0
 *
 * Registers of 1, 8, 48, 64 and 128 bits: read, write, an index out of bounds (reads leave the value alone), a
 * read-modify-write in one action.
 */
#define V1MODEL_VERSION 20200408
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8>   op;
    bit<8>   index;
    bit<128> value;
}

struct headers_t {
    key_t key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    @name("r1")
    register<bit<1>, bit<8>>(4) r1;
    @name("r8")
    register<bit<8>, bit<8>>(4) r8;
    @name("r48")
    register<bit<48>, bit<8>>(4) r48;
    @name("r64")
    register<bit<64>, bit<8>>(4) r64;
    @name("r128")
    register<bit<128>, bit<8>>(4) r128;
    @name("sum")
    register<bit<16>, bit<8>>(2) sum;
    action add() {
        bit<16> x;
        sum.read(x, hdr.key.index);
        x = x + hdr.key.value[15:0];
        sum.write(hdr.key.index, x);
        hdr.key.value = (bit<128>)x;
    }
    action write() {
        r1.write(hdr.key.index, hdr.key.value[0:0]);
        r8.write(hdr.key.index, hdr.key.value[7:0]);
        r48.write(hdr.key.index, hdr.key.value[47:0]);
        r64.write(hdr.key.index, hdr.key.value[63:0]);
        r128.write(hdr.key.index, hdr.key.value);
    }
    apply {
        sm.egress_spec = 1;
        bit<1> x1 = 1;
        bit<8> x8 = 0xee;
        bit<48> x48 = 0xee;
        bit<64> x64 = 0xee;
        if (hdr.key.op == 0) {
            write();
        } else if (hdr.key.op == 1) {
            r1.read(x1, hdr.key.index);
            hdr.key.value = (bit<128>)x1;
        } else if (hdr.key.op == 8) {
            r8.read(x8, hdr.key.index);
            hdr.key.value = (bit<128>)x8;
        } else if (hdr.key.op == 48) {
            r48.read(x48, hdr.key.index);
            hdr.key.value = (bit<128>)x48;
        } else if (hdr.key.op == 64) {
            r64.read(x64, hdr.key.index);
            hdr.key.value = (bit<128>)x64;
        } else if (hdr.key.op == 128) {
            r128.read(hdr.key.value, hdr.key.index);
        } else {
            add();
        }
    }
}

#include "include/v1switch.p4"
