/* SPDX-License-Identifier: Apache-2.0
 *
 * clone from ingress: the copy is the packet as it arrived; of the metadata only the field list's is kept.
 * A second call of clone in a pass replaces the first. Sessions lead to a port or a multicast group.
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
    bit<8> rid;
}

struct headers_t {
    mark_t mark;
    key_t  key;
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
        if (hdr.key.session == 9) {
            clone(CloneType.I2E, 2);
            clone_preserving_field_list(CloneType.I2E, 1, 1);
        } else if (hdr.key.session == 8) {
            clone(CloneType.I2E, 1);
        } else if (hdr.key.session != 0) {
            clone_preserving_field_list(CloneType.I2E, (bit<32>)hdr.key.session, 1);
        }
        // After the call: the copy's headers are unchanged, the field list's value is the one at the end.
        hdr.key.value = hdr.key.value + 1;
        meta.kept = 0x33;
        // A drop does not keep the copy from leaving.
        if (hdr.key.value == 0xff) {
            mark_to_drop(sm);
        }
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.instance_type = (bit<8>)sm.instance_type;
        hdr.mark.kept = meta.kept;
        hdr.mark.lost = meta.lost;
        hdr.mark.rid = (bit<8>)sm.egress_rid;
    }
}

#include "include/v1switch.p4"
