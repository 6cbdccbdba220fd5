/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that never let go of a packet: it is resubmitted, recirculated, or cloned from egress, each time anew.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> op;
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
        if (hdr.key.op == 1) {
            resubmit_preserving_field_list(0);
        }
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.key.op == 2) {
            recirculate_preserving_field_list(0);
        } else if (hdr.key.op == 3) {
            clone(CloneType.E2E, 1);
        }
    }
}

#include "include/v1switch.p4"
