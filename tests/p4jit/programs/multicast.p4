/* SPDX-License-Identifier: Apache-2.0
 *
 * Multicast: a copy for each replica with its rid and port; metadata of ingress is kept; an unknown group drops.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<16> group;
    bit<8>  value;
}

header mark_t {
    bit<8>  instance_type;
    bit<16> rid;
    bit<8>  port;
    bit<8>  kept;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t {
    bit<8> kept;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        meta.kept = 0x44;
        sm.mcast_grp = hdr.key.group;
        hdr.key.value = hdr.key.value + 1;
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.instance_type = (bit<8>)sm.instance_type;
        hdr.mark.rid = sm.egress_rid;
        hdr.mark.port = (bit<8>)sm.egress_port;
        hdr.mark.kept = meta.kept;
        // No copy back to where the packet came from.
        if (sm.egress_port == sm.ingress_port) {
            mark_to_drop(sm);
        }
    }
}

#include "include/v1switch.p4"
