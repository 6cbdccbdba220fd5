/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop over a header stack: next, last, lastIndex; too many headers is StackOutOfBounds.
 */
#include <core.p4>
#include <v1model.p4>

header label_t {
    bit<7> value;
    bit<1> bottom;
}

header mark_t {
    bit<8> code;
    bit<8> sum;
    bit<8> last_index;
}

struct headers_t {
    mark_t     mark;
    label_t[4] labels;
}

struct metadata_t {
    bit<8> sum;
    bit<8> last_index;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        meta.sum = 0;
        transition next_label;
    }
    state next_label {
        packet.extract(hdr.labels.next);
        meta.sum = meta.sum + (bit<8>)hdr.labels.last.value;
        meta.last_index = (bit<8>)hdr.labels.lastIndex;
        transition select(hdr.labels.last.bottom) {
            0: next_label;
            1: accept;
        }
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.mark.setValid();
        hdr.mark.code = 0;
        if (sm.parser_error == error.StackOutOfBounds) {
            hdr.mark.code = 1;
        } else if (sm.parser_error == error.PacketTooShort) {
            hdr.mark.code = 2;
        }
        hdr.mark.sum = meta.sum;
        hdr.mark.last_index = meta.last_index;
        sm.egress_spec = 1;
    }
}

#include "include/v1switch.p4"
