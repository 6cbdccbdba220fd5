/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries written in the program: exact, prefix, ternary with and without priorities, range; and initial
 * entries that the control plane may add to.
 */
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8>  table_number;
    bit<16> a;
    bit<8>  b;
}

header mark_t {
    bit<8> value;
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
    action found(bit<8> value) { hdr.mark.value = value; }
    table exact_entries {
        key = { hdr.key.a: exact; hdr.key.b: exact; }
        actions = { found; }
        const default_action = found(0xf0);
        const entries = {
            (1, 2): found(0x01);
            (0xffff, 0): found(0x02);
        }
    }
    table lpm_entries {
        key = { hdr.key.a: lpm; }
        actions = { found; }
        const default_action = found(0xf1);
        const entries = {
            0x1000 &&& 0xf000: found(0x11);
            0x1200 &&& 0xff00: found(0x12);
            0x1234: found(0x13);
        }
    }
    table ternary_entries {
        key = { hdr.key.a: ternary; hdr.key.b: ternary; }
        actions = { found; }
        const default_action = found(0xf2);
        // In the order they stand, the first match wins.
        const entries = {
            (0x0001 &&& 0x0001, 5): found(0x21);
            (_, 5): found(0x22);
            (0x8000 &&& 0x8000, _): found(0x23);
        }
    }
    table range_entries {
        key = { hdr.key.a: range; }
        actions = { found; }
        const default_action = found(0xf3);
        const entries = {
            10 .. 20: found(0x31);
            15 .. 30: found(0x32);
            100: found(0x33);
        }
    }
    table priority_entries {
        key = { hdr.key.a: ternary; }
        actions = { found; }
        default_action = found(0xf4);
        largest_priority_wins = false;
        // The smaller number wins here, against the order of the entries.
        entries = {
            priority = 30: 0x0000 &&& 0x0001: found(0x41);
            priority = 20: 0x0000 &&& 0x0003: found(0x42);
            priority = 10: 0x0000 &&& 0x0007: found(0x43);
        }
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        hdr.mark.value = 0xff;
        if (hdr.key.table_number == 0) {
            exact_entries.apply();
        } else if (hdr.key.table_number == 1) {
            lpm_entries.apply();
        } else if (hdr.key.table_number == 2) {
            ternary_entries.apply();
        } else if (hdr.key.table_number == 3) {
            range_entries.apply();
        } else {
            priority_entries.apply();
        }
    }
}

#include "include/v1switch.p4"
