/* SPDX-License-Identifier: Apache-2.0
 *
 * A checksum over fields and the rest of the packet, even and odd in length: verified and computed.
 */
#include <core.p4>
#include <v1model.p4>

header udp_t {
    bit<16> source;
    bit<16> destination;
    bit<16> checksum;
}

header mark_t {
    bit<8> checksum_error;
    bit<8> pad;
}

struct headers_t {
    mark_t mark;
    udp_t  udp;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.udp); transition accept; }
}

#define HAVE_VERIFY
control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum_with_payload(hdr.udp.checksum != 0, { hdr.udp.source, hdr.udp.destination },
                                     hdr.udp.checksum, HashAlgorithm.csum16);
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.checksum_error = (bit<8>)sm.checksum_error;
        hdr.mark.pad = 0;
        hdr.udp.destination = hdr.udp.destination + 1;
    }
}

#define HAVE_COMPUTE
control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum_with_payload(true, { hdr.udp.source, hdr.udp.destination }, hdr.udp.checksum,
                                     HashAlgorithm.csum16);
    }
}

#include "include/v1switch.p4"
