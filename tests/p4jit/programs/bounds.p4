/* SPDX-License-Identifier: Apache-2.0
 *
 * Where P4 leaves things undefined and a switch must hold all the same: loops that the packet keeps going,
 * stack indices beyond the end, fields of headers that are not there.
 */
#include <core.p4>
#include <v1model.p4>

header order_t {
    bit<8>  op;       // 0 plain, 1 the parser goes round for ever, 2 looks ahead, 3 count down in an action,
                      // 4 write beyond the stack, 5 read beyond the stack
    bit<8>  index;
    bit<32> count;
}

header item_t {
    bit<8> value;
}

header mark_t {
    bit<8>  problem;
    bit<8>  read;
    bit<8>  absent;
    bit<32> turns;
}

struct headers_t {
    mark_t    mark;
    order_t   order;
    item_t[3] items;
    item_t    absent;
    item_t    after;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.order);
        transition select(hdr.order.op) {
            1: round;
            2: ahead;
            default: items;
        }
    }
    // Takes nothing, and so never ends by itself.
    state round {
        transition select(hdr.order.op) {
            1: round;
            default: accept;
        }
    }
    state ahead {
        transition select(packet.lookahead<bit<64>>()) {
            0: accept;
            default: items;
        }
    }
    state items {
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        packet.extract(hdr.after);
        transition accept;
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action count_down() {
        bit<32> turns = 0;
        for (bit<32> i = hdr.order.count; i > 0; i = i - 1) {
            turns = turns + 1;
        }
        hdr.mark.turns = turns;
    }
    action write_item() { hdr.items[hdr.order.index].value = 0x77; }
    action read_item() { hdr.mark.read = hdr.items[hdr.order.index].value; }

    @name("misses")
    direct_counter(CounterType.packets_and_bytes) misses;
    table counted {
        key = { hdr.order.op: exact; }
        actions = { NoAction; }
        default_action = NoAction();
        counters = misses;
    }

    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        counted.apply();
        if (hdr.order.op == 3) {
            count_down();
        } else if (hdr.order.op == 4) {
            write_item();
        } else if (hdr.order.op == 5) {
            read_item();
        }
        hdr.mark.absent = hdr.absent.value;
        hdr.mark.problem = (sm.parser_error == error.ParserTimeout) ? 8w1 :
            (sm.parser_error == error.PacketTooShort ? 8w2 : 8w0);
    }
}

#include "include/v1switch.p4"
