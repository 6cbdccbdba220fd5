/* SPDX-License-Identifier: Apache-2.0
 *
 * switch on the action that ran and on a value, hit and miss, nested if, exit from a control and an action.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
    bit<8> b;
}

header mark_t {
    bit<8> trace;
    bit<8> last;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action one() { hdr.mark.trace = hdr.mark.trace | 0x01; }
    action two() { hdr.mark.trace = hdr.mark.trace | 0x02; }
    action three() { hdr.mark.trace = hdr.mark.trace | 0x04; }
    action stop() {
        hdr.mark.trace = hdr.mark.trace | 0x08;
        exit;
    }
    table first {
        key = { hdr.key.a: exact; }
        actions = { one; two; three; stop; }
        default_action = three();
        const entries = {
            1: one();
            2: two();
            3: stop();
            4: two();
        }
    }
    table second {
        key = { hdr.key.b: exact; }
        actions = { one; NoAction; }
        default_action = NoAction();
        const entries = { 1: NoAction(); }
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.trace = 0;
        hdr.mark.last = 0;
        switch (first.apply().action_run) {
            one: { hdr.mark.last = 1; }
            two: {
                if (hdr.key.b == 9) {
                    exit;
                }
                hdr.mark.last = 2;
            }
            default: { hdr.mark.last = 3; }
        }
        if (second.apply().hit) {
            hdr.mark.trace = hdr.mark.trace | 0x10;
        } else {
            hdr.mark.trace = hdr.mark.trace | 0x20;
        }
        switch (hdr.key.b) {
            5: { hdr.mark.trace = hdr.mark.trace | 0x40; }
            6:
            7: { hdr.mark.trace = hdr.mark.trace | 0x80; }
            default: { }
        }
        if (hdr.key.a > 4 && (hdr.key.b < 3 || hdr.key.b == 0xff)) {
            hdr.mark.last = hdr.mark.last + 0x10;
        } else if (!(hdr.key.a == 0)) {
            hdr.mark.last = hdr.mark.last + 0x20;
        }
    }
}

#include "include/v1switch.p4"
