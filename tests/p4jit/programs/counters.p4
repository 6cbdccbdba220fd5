/* SPDX-License-Identifier: Apache-2.0
 *
 * Indirect counters of each type, in ingress and egress, an index out of bounds, and a direct counter.
 */
#define V1MODEL_VERSION 20200408
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
    bit<8> index;
}

struct headers_t {
    key_t key;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    @name("by_packets")
    counter<bit<8>>(4, CounterType.packets) by_packets;
    @name("by_bytes")
    counter<bit<8>>(4, CounterType.bytes) by_bytes;
    @name("by_both")
    counter<bit<8>>(4, CounterType.packets_and_bytes) by_both;
    @name("direct")
    direct_counter(CounterType.packets_and_bytes) direct;
    action count() { direct.count(); }
    action silent() { }
    table t {
        key = { hdr.key.a: exact; }
        actions = { count; silent; NoAction; }
        counters = direct;
    }
    apply {
        sm.egress_spec = 1;
        by_packets.count(hdr.key.index);
        by_bytes.count(hdr.key.index);
        by_both.count(hdr.key.index);
        by_both.count(hdr.key.index);
        t.apply();
    }
}

#define HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    @name("on_egress")
    counter<bit<9>>(512, CounterType.packets_and_bytes) on_egress;
    apply {
        on_egress.count(sm.egress_port);
    }
}

#include "include/v1switch.p4"
