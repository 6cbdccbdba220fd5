/* SPDX-License-Identifier: Apache-2.0
 *
 * mark_to_drop in ingress and egress, undone and redone; truncate, also beyond the packet's end.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> op;
    bit<8> argument;
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
            mark_to_drop(sm);
        } else if (hdr.key.op == 2) {
            mark_to_drop(sm);
            sm.egress_spec = 2;
        } else if (hdr.key.op == 3) {
            // mark_to_drop also takes back the multicast group.
            sm.mcast_grp = 1;
            mark_to_drop(sm);
            sm.egress_spec = 3;
        } else if (hdr.key.op == 4) {
            truncate((bit<32>)hdr.key.argument);
        }
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.key.op == 5) {
            mark_to_drop(sm);
        } else if (hdr.key.op == 6) {
            truncate((bit<32>)hdr.key.argument);
        }
    }
}

#include "include/v1switch.p4"
