// SPDX-License-Identifier: Apache-2.0
// Every kind of P4Runtime entity, once.
#include <core.p4>
#include <v1model.p4>

@p4runtime_translation("test/port32", 32)
type bit<9> port32_t;
@p4runtime_translation("test/name", string)
type bit<16> name_t;

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    bit<7> pad;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv4_t {
    bit<32> src;
    bit<32> dst;
    bit<8> proto;
    bit<128> wide;
    bit<16> sport;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    ipv4_t ipv4;
}

struct learn_t {
    bit<48> src;
    bit<9> port;
}

struct meta_t {
    bit<2> color;
    port32_t port;
    name_t name;
    bit<1> flag;
    bit<4> nibble;
}

parser P(packet_in p, out headers_t h, inout meta_t m, inout standard_metadata_t s) {
    value_set<bit<16>>(4) ipv4_types;
    state start {
        m.port = (port32_t) s.ingress_port;
        transition select(s.ingress_port) {
            510: out_header;
            default: ethernet;
        }
    }
    state out_header {
        p.extract(h.packet_out);
        transition ethernet;
    }
    state ethernet {
        p.extract(h.ethernet);
        transition select(h.ethernet.type) {
            0x0800: ipv4;
            ipv4_types: ipv4;
            default: accept;
        }
    }
    state ipv4 {
        p.extract(h.ipv4);
        transition accept;
    }
}

control V(inout headers_t h, inout meta_t m) {
    apply {}
}

control I(inout headers_t h, inout meta_t m, inout standard_metadata_t s) {
    counter(8, CounterType.packets_and_bytes) port_counter;
    meter(4, MeterType.bytes) port_meter;
    register<bit<48>>(16) seen;
    direct_counter(CounterType.packets_and_bytes) l2_counter;
    direct_meter<bit<2>>(MeterType.packets) route_meter;
    direct_counter(CounterType.packets) l2_fixed;

    action drop() {
        mark_to_drop(s);
    }
    action forward(bit<9> port) {
        s.egress_spec = port;
    }
    action forward32(port32_t port) {
        s.egress_spec = (bit<9>) port;
    }
    action rewrite(bit<48> dst, bit<9> port, bit<128> wide) {
        h.ethernet.dst = dst;
        s.egress_spec = port;
        h.ipv4.wide = wide;
    }
    action to_cpu() {
        s.egress_spec = 510;
    }
    action name_it(name_t name) {
        m.name = name;
    }
    action flood(bit<16> group) {
        s.mcast_grp = group;
    }
    action mirror(bit<32> session) {
        clone(CloneType.I2E, session);
    }
    action learn() {
        digest<learn_t>(1, { h.ethernet.src, s.ingress_port });
    }
    action remember(bit<32> index) {
        seen.write(index, h.ethernet.src);
        port_counter.count(index);
        port_meter.execute_meter(index, m.color);
    }
    action metered(bit<9> port) {
        route_meter.read(m.color);
        s.egress_spec = port;
    }

    table l2 {
        key = { h.ethernet.dst: exact; }
        actions = { forward; to_cpu; flood; mirror; learn; remember; @tableonly rewrite; @defaultonly drop; }
        default_action = drop();
        counters = l2_counter;
        support_timeout = true;
        size = 200000;
    }
    table pairs {
        key = { h.ethernet.src: exact; m.nibble: exact; h.ipv4.isValid(): exact; }
        actions = { forward; rewrite; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 8;
    }
    table routes {
        key = { m.flag: exact; h.ipv4.dst: lpm; }
        actions = { metered; @defaultonly NoAction; }
        default_action = NoAction();
        meters = route_meter;
        size = 1024;
    }
    table wide_routes {
        key = { h.ipv4.wide: lpm; }
        actions = { forward; NoAction; }
        size = 1024;
    }
    table acl {
        key = {
            h.ethernet.type: ternary;
            h.ipv4.sport: range;
            h.ipv4.proto: optional;
            h.ipv4.src: ternary;
            m.nibble: exact;
        }
        actions = { drop; forward; NoAction; }
        default_action = NoAction();
        size = 1024;
    }
    table filters {
        key = {
            h.ipv4.src: ternary;
            h.ethernet.type: ternary;
            h.ipv4.proto: optional;
            h.ipv4.dst: lpm;
            m.nibble: exact;
        }
        actions = { forward; rewrite; NoAction; }
        default_action = NoAction();
        size = 100000;
    }
    table fixed {
        key = { h.ethernet.type: ternary; }
        actions = { forward; drop; }
        const entries = {
            0x0800 &&& 0xff00: forward(1);
            0x86dd: forward(2);
            _: forward(0);
        }
        counters = l2_fixed;
    }
    table started {
        key = { h.ethernet.type: exact; }
        actions = { forward; drop; NoAction; }
        entries = {
            0x0800: forward(1);
            0x86dd: forward(2);
        }
        size = 16;
    }
    table keyless {
        actions = { forward; to_cpu; NoAction; }
        default_action = NoAction();
    }
    table translated {
        key = { m.port: exact; m.name: exact; }
        actions = { forward32; name_it; NoAction; }
        size = 16;
    }
    action_selector(HashAlgorithm.crc32, 32w64, 32w16) balancer;
    @max_group_size(8)
    action_selector(HashAlgorithm.crc32, 32w64, 32w16) limited;
    action_profile(4) shared;
    table ecmp {
        key = { h.ipv4.dst: lpm; h.ipv4.src: selector; }
        actions = { forward; rewrite; }
        implementation = balancer;
        size = 64;
    }
    table ecmp_limited {
        key = { h.ipv4.dst: exact; h.ipv4.src: selector; }
        actions = { forward; }
        implementation = limited;
        size = 64;
    }
    table profiled {
        key = { h.ethernet.dst: exact; }
        actions = { forward; to_cpu; }
        implementation = shared;
        size = 64;
    }

    apply {
        if (h.packet_out.isValid()) {
            s.egress_spec = h.packet_out.egress_port;
            h.packet_out.setInvalid();
        } else {
            fixed.apply();
            started.apply();
            keyless.apply();
            translated.apply();
            wide_routes.apply();
            pairs.apply();
            routes.apply();
            ecmp.apply();
            ecmp_limited.apply();
            profiled.apply();
            filters.apply();
            acl.apply();
            l2.apply();
        }
    }
}

control E(inout headers_t h, inout meta_t m, inout standard_metadata_t s) {
    apply {
        if (s.egress_port == 510) {
            h.packet_in.setValid();
            h.packet_in.ingress_port = s.ingress_port;
            h.packet_in.reason = 5;
        }
    }
}

control C(inout headers_t h, inout meta_t m) {
    apply {}
}

control D(packet_out p, in headers_t h) {
    apply {
        p.emit(h.packet_in);
        p.emit(h.ethernet);
        p.emit(h.ipv4);
    }
}

V1Switch(P(), V(), I(), E(), C(), D()) main;
