/* SPDX-License-Identifier: Apache-2.0
 *
 * clone from egress: the copy is the packet as egress left it, and runs egress again.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> session;
    bit<8> value;
}

header mark_t {
    bit<8> instance_type;
    bit<8> kept;
    bit<8> lost;
    bit<8> port;
}

struct headers_t {
    key_t  key;
    mark_t mark;
}

struct metadata_t {
    @field_list(1)
    bit<8> kept;
    bit<8> lost;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        meta.kept = 0x11;
        meta.lost = 0x22;
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.instance_type = (bit<8>)sm.instance_type;
        hdr.mark.kept = meta.kept;
        hdr.mark.lost = meta.lost;
        hdr.mark.port = (bit<8>)sm.egress_port;
        hdr.key.value = hdr.key.value + 1;
        if (sm.instance_type == 0 && hdr.key.session != 0) {
            clone_preserving_field_list(CloneType.E2E, (bit<32>)hdr.key.session, 1);
        }
        // The original may be dropped in egress; its copy leaves all the same.
        if (sm.instance_type == 0 && hdr.key.value == 0xff) {
            mark_to_drop(sm);
        }
    }
}

#include "include/v1switch.p4"
