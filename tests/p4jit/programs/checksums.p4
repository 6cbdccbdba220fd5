/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv4's header checksum verified on the way in and computed anew on the way out, under a condition.
 */
#include <core.p4>
#include <v1model.p4>

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  tos;
    bit<16> length;
    bit<16> identification;
    bit<3>  flags;
    bit<13> fragment;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header mark_t {
    bit<8> checksum_error;
}

struct headers_t {
    mark_t mark;
    ipv4_t ipv4;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.ipv4); transition accept; }
}

#define FIELDS(h) { h.version, h.ihl, h.tos, h.length, h.identification, h.flags, h.fragment, h.ttl, \
                    h.protocol, h.source, h.destination }

#define HAVE_VERIFY
control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.version == 4, FIELDS(hdr.ipv4), hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.checksum_error = (bit<8>)sm.checksum_error;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    }
}

#define HAVE_COMPUTE
control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        // A type of service of 0xff keeps the checksum as it is, wrong.
        update_checksum(hdr.ipv4.tos != 0xff, FIELDS(hdr.ipv4), hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

#include "include/v1switch.p4"
