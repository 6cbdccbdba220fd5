/* SPDX-License-Identifier: Apache-2.0
 *
 * Header stacks in controls: push_front, pop_front, elements by a constant and by a run-time index, copies.
 */
#include <core.p4>
#include <v1model.p4>

header op_t {
    bit<8> op;
    bit<8> index;
    bit<8> count;
}

header label_t {
    bit<8> value;
}

struct headers_t {
    op_t       op;
    label_t[4] labels;
    label_t[4] copy;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    bit<8> left;
    state start {
        packet.extract(hdr.op);
        left = hdr.op.count;
        transition labels;
    }
    state labels {
        transition select(left) {
            0: accept;
            default: label;
        }
    }
    state label {
        packet.extract(hdr.labels.next);
        left = left - 1;
        transition labels;
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.op.op == 1) {
            hdr.labels.push_front(1);
            hdr.labels[0].setValid();
            hdr.labels[0].value = 0xaa;
        } else if (hdr.op.op == 2) {
            // What is pushed is not valid until it is set so.
            hdr.labels.push_front(2);
        } else if (hdr.op.op == 3) {
            hdr.labels.pop_front(1);
        } else if (hdr.op.op == 4) {
            hdr.labels.pop_front(3);
        } else if (hdr.op.op == 5) {
            hdr.copy = hdr.labels;
            hdr.copy[0].value = 0xcc;
        } else if (hdr.op.op == 6) {
            bit<32> i = (bit<32>)hdr.op.index;
            hdr.labels[i].value = 0xdd;
        } else if (hdr.op.op == 7) {
            bit<32> i = (bit<32>)hdr.op.index;
            hdr.op.count = hdr.labels[i].value;
        } else if (hdr.op.op == 8) {
            // A gap in the stack: the deparser skips it.
            hdr.labels[1].setInvalid();
        } else if (hdr.op.op == 9) {
            hdr.labels.push_front(4);
        }
    }
}

#include "include/v1switch.p4"
