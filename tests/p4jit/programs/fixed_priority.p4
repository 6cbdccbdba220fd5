/* SPDX-License-Identifier: Apache-2.0
 *
 * An action that sets the priority to a constant: a switch with fewer queues can tell when it loads this.
 */
#include <core.p4>
#include <v1model.p4>

header byte_t {
    bit<8> value;
}

struct headers_t {
    byte_t byte;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.byte); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        sm.priority = 5;
    }
}

#include "include/v1switch.p4"
