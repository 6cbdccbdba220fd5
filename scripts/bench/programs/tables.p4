// SPDX-License-Identifier: Apache-2.0
// Large tables of each match kind, for measuring the control plane.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

struct headers_t {
    ethernet_t ethernet;
}

struct metadata_t {}

parser Parse(packet_in p, out headers_t h, inout metadata_t m, inout standard_metadata_t s) {
    state start {
        p.extract(h.ethernet);
        transition accept;
    }
}

control Verify(inout headers_t h, inout metadata_t m) {
    apply {}
}

control Forward(inout headers_t h, inout metadata_t m, inout standard_metadata_t s) {
    action forward(bit<9> port, bit<48> next) {
        s.egress_spec = port;
        h.ethernet.dst = next;
    }
    action drop() {
        mark_to_drop(s);
    }
    table by_exact {
        key = { h.ethernet.dst: exact; }
        actions = { forward; drop; }
        default_action = drop();
        size = 2000000;
    }
    table by_lpm {
        key = { h.ethernet.dst: lpm; }
        actions = { forward; drop; }
        default_action = drop();
        size = 1000000;
    }
    table by_ternary {
        key = { h.ethernet.dst: ternary; }
        actions = { forward; drop; }
        default_action = drop();
        size = 200000;
    }
    apply {
        if (!by_exact.apply().hit) {
            if (!by_lpm.apply().hit) {
                by_ternary.apply();
            }
        }
    }
}

control Leave(inout headers_t h, inout metadata_t m, inout standard_metadata_t s) {
    apply {}
}

control Compute(inout headers_t h, inout metadata_t m) {
    apply {}
}

control Deparse(packet_out p, in headers_t h) {
    apply {
        p.emit(h.ethernet);
    }
}

V1Switch(Parse(), Verify(), Forward(), Leave(), Compute(), Deparse()) main;
