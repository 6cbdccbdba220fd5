/* SPDX-License-Identifier: Apache-2.0
 *
 * log_msg with and without values; assert and assume that hold. (One that fails ends the packet on p4jit and the
 * whole switch on bmv2: a test of its own.)
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8>   a;
    bit<128> wide;
}

struct headers_t {
    key_t key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        log_msg("a packet");
        log_msg("a = {}, wide = {}", { hdr.key.a, hdr.key.wide });
        assert(hdr.key.a != 0xaa);
        assume(hdr.key.a != 0xbb);
        hdr.key.a = hdr.key.a + 1;
    }
}

#include "include/v1switch.p4"
