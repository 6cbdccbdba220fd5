/* SPDX-License-Identifier: Apache-2.0
 *
 * digest: two lists, of several widths; the values are those at the end of ingress.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8>  which;
    bit<48> address;
    bit<16> tag;
}

struct headers_t {
    key_t key;
}

struct learn_t {
    bit<48> address;
    bit<9>  port;
}

struct tag_t {
    bit<13> tag;
    bit<3>  rest;
    bit<16> constant;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.key.which == 1) {
            digest<learn_t>(1, { hdr.key.address, sm.ingress_port });
        } else if (hdr.key.which == 2) {
            digest<tag_t>(2, { hdr.key.tag[15:3], hdr.key.tag[2:0], 16w0xbeef });
        }
    }
}

#include "include/v1switch.p4"
