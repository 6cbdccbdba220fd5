// SPDX-License-Identifier: Apache-2.0
//
// Ingress of deep.p4, one control a stage. A routed IPv4 packet passes 28 tables.

// Who sent it, and what may be done with it: 6 tables.
control Filtering(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    direct_counter(CounterType.packets_and_bytes) vlan_counter;

    action set_port(bit<2> type, bit<8> zone) {
        meta.port_type = type;
        meta.zone = zone;
    }

    table port_properties {
        key = { standard.ingress_port: exact @name("port"); }
        actions = { set_port; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    action permit() { }

    action permit_with_vlan(bit<12> vlan_id) {
        meta.vlan_id = vlan_id;
    }

    action deny() {
        meta.skip_forwarding = 1;
        meta.skip_next = 1;
        mark_to_drop(standard);
    }

    table port_vlan {
        key = {
            standard.ingress_port: exact @name("port");
            hdr.vlan.isValid(): exact @name("tagged");
            hdr.vlan.id: ternary @name("vlan");
        }
        actions = { permit; permit_with_vlan; deny; }
        default_action = deny();
        counters = vlan_counter;
        size = 1024;
    }

    action known_source() {
        meta.source_seen = 1;
    }

    table source_guard {
        key = {
            meta.port_type: exact @name("port_type");
            hdr.ethernet.source: ternary @name("source");
            hdr.ipv4.source: ternary @name("address");
        }
        actions = { known_source; deny; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    action forward_as(bit<3> kind) {
        meta.forwarding = kind;
    }

    table classifier {
        key = {
            standard.ingress_port: exact @name("port");
            hdr.ethernet.destination: ternary @name("destination");
            meta.last_type: exact @name("type");
        }
        actions = { forward_as; }
        default_action = forward_as(FORWARD_BRIDGE);
        size = 1024;
    }

    action terminate(bit<16> tenant) {
        meta.terminated = 1;
        meta.tenant = tenant;
        meta.ipv4_source = hdr.inner_ipv4.source;
        meta.ipv4_destination = hdr.inner_ipv4.destination;
        hdr.ipv4 = hdr.inner_ipv4;
        hdr.udp = hdr.inner_udp;
        hdr.tcp = hdr.inner_tcp;
        hdr.ethernet.type = hdr.inner_ethernet.type;
        hdr.inner_ethernet.setInvalid();
        hdr.inner_ipv4.setInvalid();
        hdr.inner_udp.setInvalid();
        hdr.inner_tcp.setInvalid();
        hdr.vxlan.setInvalid();
    }

    table tunnel_termination {
        key = {
            hdr.ipv4.destination: exact @name("endpoint");
            hdr.vxlan.isValid(): exact @name("vxlan");
            hdr.vxlan.vni: exact @name("vni");
        }
        actions = { terminate; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    action set_tenant(bit<16> tenant, bit<16> vrf) {
        meta.tenant = tenant;
        meta.vrf = vrf;
    }

    table tenants {
        key = { meta.vlan_id: exact @name("vlan"); meta.zone: exact @name("zone"); }
        actions = { set_tenant; NoAction; }
        default_action = NoAction();
        size = 4096;
    }

    apply {
        port_properties.apply();
        port_vlan.apply();
        source_guard.apply();
        classifier.apply();
        tunnel_termination.apply();
        tenants.apply();
    }
}

// Where to: 3 tables for IPv4 (host, source and destination route), others for other kinds.
control Forwarding(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action set_next(next_id_t next_id) {
        meta.next_id = next_id;
    }

    action set_next_and_group(next_id_t next_id, bit<16> group) {
        meta.next_id = next_id;
        meta.destination_group = group;
    }

    action set_source_group(bit<16> group) {
        meta.source_group = group;
    }

    action discard() {
        meta.skip_next = 1;
        mark_to_drop(standard);
    }

    action pop_and_next(next_id_t next_id) {
        hdr.ethernet.type = hdr.ipv4.isValid() ? TYPE_IPV4 : TYPE_IPV6;
        hdr.mpls.setInvalid();
        meta.next_id = next_id;
    }

    table bridging {
        key = {
            meta.vlan_id: exact @name("vlan");
            hdr.ethernet.destination: exact @name("destination");
        }
        actions = { set_next; NoAction; }
        default_action = NoAction();
        size = 65536;
    }

    table mpls {
        key = { hdr.mpls.label: exact @name("label"); }
        actions = { pop_and_next; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table source_routes {
        key = {
            meta.vrf: exact @name("vrf");
            hdr.ipv4.source: lpm @name("source");
        }
        actions = { set_source_group; discard; NoAction; }
        default_action = NoAction();
        size = 65536;
    }

    table routes {
        key = {
            meta.vrf: exact @name("vrf");
            hdr.ipv4.destination: lpm @name("destination");
        }
        actions = { set_next; set_next_and_group; discard; NoAction; }
        default_action = NoAction();
        size = 65536;
    }

    table routes6 {
        key = {
            meta.vrf: exact @name("vrf");
            hdr.ipv6.destination: lpm @name("destination");
        }
        actions = { set_next; set_next_and_group; discard; NoAction; }
        default_action = NoAction();
        size = 16384;
    }

    apply {
        bridging.apply();
        if (meta.forwarding == FORWARD_MPLS) {
            mpls.apply();
        } else if (meta.forwarding == FORWARD_IPV4) {
            source_routes.apply();
            routes.apply();
        } else if (meta.forwarding == FORWARD_IPV6) {
            routes6.apply();
        }
    }
}

// How well: 5 tables and a meter.
control Qos(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    @name("slice_meter")
    meter(64, MeterType.bytes) slice_meter;
    direct_counter(CounterType.packets) class_counter;

    action set_class(class_t class) {
        meta.class = class;
    }

    action set_slice(slice_t slice, class_t class) {
        meta.slice = slice;
        meta.class = class;
    }

    action set_queue(bit<8> queue) {
        meta.queue = queue;
        standard.priority = (bit<3>)queue;
    }

    action police() {
        meta.skip_next = 1;
        mark_to_drop(standard);
    }

    action set_colour(bit<2> colour) {
        meta.colour = colour;
    }

    table trust {
        key = { standard.ingress_port: exact @name("port"); hdr.ipv4.dscp: exact @name("dscp"); }
        actions = { set_class; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table applications {
        key = {
            meta.protocol: ternary @name("protocol");
            meta.l4_source: ternary @name("l4_source");
            meta.l4_destination: ternary @name("l4_destination");
        }
        actions = { set_class; NoAction; }
        default_action = NoAction();
        counters = class_counter;
        size = 512;
    }

    table slices {
        key = {
            standard.ingress_port: ternary @name("port");
            meta.ipv4_source: ternary @name("source");
            meta.ipv4_destination: ternary @name("destination");
            meta.protocol: ternary @name("protocol");
            meta.l4_source: ternary @name("l4_source");
            meta.l4_destination: ternary @name("l4_destination");
        }
        actions = { set_slice; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    table colours {
        key = { meta.slice: exact @name("slice"); meta.colour: exact @name("colour"); }
        actions = { set_colour; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    table queues {
        key = {
            meta.slice: exact @name("slice");
            meta.class: exact @name("class");
            meta.colour: ternary @name("colour");
        }
        actions = { set_queue; police; }
        default_action = set_queue(0);
        size = 256;
    }

    apply {
        trust.apply();
        applications.apply();
        slices.apply();
        slice_meter.execute_meter((bit<32>)(meta.slice ++ meta.class), meta.colour);
        colours.apply();
        queues.apply();
    }
}

// Whether at all, and who is told: 5 tables.
control Acl(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    direct_counter(CounterType.packets_and_bytes) acl_counter;
    direct_counter(CounterType.packets) group_counter;

    action deny() {
        meta.skip_next = 1;
        mark_to_drop(standard);
    }

    action set_next(next_id_t next_id) {
        meta.next_id = next_id;
    }

    action to_cpu() {
        meta.punt = 1;
        standard.egress_spec = PORT_CPU;
        meta.skip_next = 1;
    }

    action mirror(bit<32> session) {
        clone(CloneType.I2E, session);
    }

    action watch() {
        meta.watched = 1;
    }

    action permit() { }

    table services {
        key = {
            meta.ipv4_destination: exact @name("destination");
            meta.protocol: exact @name("protocol");
            meta.l4_destination: exact @name("l4_destination");
        }
        actions = { set_next; NoAction; }
        default_action = NoAction();
        size = 4096;
    }

    table acl {
        key = {
            standard.ingress_port: ternary @name("port");
            hdr.ethernet.destination: ternary @name("ethernet_destination");
            hdr.ethernet.source: ternary @name("ethernet_source");
            meta.vlan_id: ternary @name("vlan");
            meta.last_type: ternary @name("type");
            meta.ipv4_source: ternary @name("source");
            meta.ipv4_destination: ternary @name("destination");
            meta.protocol: ternary @name("protocol");
            meta.l4_source: ternary @name("l4_source");
            meta.l4_destination: ternary @name("l4_destination");
            meta.icmp_type: ternary @name("icmp_type");
            meta.icmp_code: ternary @name("icmp_code");
        }
        actions = { permit; deny; set_next; to_cpu; mirror; }
        default_action = permit();
        counters = acl_counter;
        size = 1024;
    }

    table groups {
        key = {
            meta.tenant: exact @name("tenant");
            meta.source_group: ternary @name("source_group");
            meta.destination_group: ternary @name("destination_group");
            meta.l4_destination: ternary @name("l4_destination");
        }
        actions = { permit; deny; }
        default_action = permit();
        counters = group_counter;
        size = 1024;
    }

    table watchlist {
        key = {
            meta.ipv4_source: ternary @name("source");
            meta.ipv4_destination: ternary @name("destination");
            meta.protocol: ternary @name("protocol");
            meta.l4_source: ternary @name("l4_source");
            meta.l4_destination: ternary @name("l4_destination");
        }
        actions = { watch; NoAction; }
        default_action = NoAction();
        size = 128;
    }

    table mirrors {
        key = { standard.ingress_port: exact @name("port"); meta.watched: exact @name("watched"); }
        actions = { mirror; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    apply {
        services.apply();
        acl.apply();
        groups.apply();
        watchlist.apply();
        mirrors.apply();
    }
}

// The next hop: 7 tables. Port counters and the flow cache: 2 more.
control Next(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    @name("next_selector")
    action_selector(HashAlgorithm.crc16, 1024, 16) next_selector;
    @name("flow_packets")
    register<bit<32>>(4096) flow_packets;
    @name("port_counter")
    counter(512, CounterType.packets_and_bytes) port_counter;
    direct_counter(CounterType.packets_and_bytes) next_counter;

    action output(port_id_t port) {
        standard.egress_spec = port;
    }

    action route(port_id_t port, mac_t source, mac_t destination) {
        hdr.ethernet.source = source;
        hdr.ethernet.destination = destination;
        standard.egress_spec = port;
    }

    action set_vlan(bit<12> vlan_id) {
        meta.vlan_id = vlan_id;
    }

    action set_group(bit<16> group) {
        standard.mcast_grp = group;
        meta.is_multicast = 1;
    }

    action set_label(bit<20> label) {
        meta.mpls_label = label;
    }

    action set_tunnel(bit<16> tunnel_id) {
        meta.tunnel_id = tunnel_id;
    }

    action count_port() {
        port_counter.count((bit<32>)standard.ingress_port);
    }

    action count_flow() {
        bit<32> seen;
        flow_packets.read(seen, (bit<32>)meta.flow_hash & 0xfff);
        flow_packets.write((bit<32>)meta.flow_hash & 0xfff, seen + 1);
    }

    table next_vlan {
        key = { meta.next_id: exact @name("next_id"); }
        actions = { set_vlan; NoAction; }
        default_action = NoAction();
        size = 4096;
    }

    table cross_connect {
        key = { standard.ingress_port: exact @name("port"); meta.next_id: exact @name("next_id"); }
        actions = { output; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table simple {
        key = { meta.next_id: exact @name("next_id"); }
        actions = { output; route; NoAction; }
        default_action = NoAction();
        counters = next_counter;
        size = 4096;
    }

    table hashed {
        key = {
            meta.next_id: exact @name("next_id");
            meta.ipv4_source: selector;
            meta.ipv4_destination: selector;
            meta.protocol: selector;
            meta.l4_source: selector;
            meta.l4_destination: selector;
        }
        actions = { output; route; NoAction; }
        implementation = next_selector;
        size = 4096;
    }

    table replicated {
        key = { meta.next_id: exact @name("next_id"); }
        actions = { set_group; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table labels {
        key = { meta.next_id: exact @name("next_id"); }
        actions = { set_label; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table tunnels {
        key = { meta.next_id: exact @name("next_id"); meta.tenant: exact @name("tenant"); }
        actions = { set_tunnel; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table ports {
        key = { standard.ingress_port: exact @name("port"); }
        actions = { count_port; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    table flow_cache {
        key = { meta.slice: exact @name("slice"); meta.class: exact @name("class"); }
        actions = { count_flow; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    apply {
        if (meta.skip_next == 0) {
            hash(meta.flow_hash, HashAlgorithm.crc32, 16w0,
                 { meta.ipv4_source, meta.ipv4_destination, meta.protocol, meta.l4_source, meta.l4_destination },
                 32w0x10000);
            next_vlan.apply();
            cross_connect.apply();
            simple.apply();
            hashed.apply();
            replicated.apply();
            labels.apply();
            tunnels.apply();
        }
        ports.apply();
        flow_cache.apply();
    }
}

control DeepIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    Filtering() filtering;
    Forwarding() forwarding;
    Qos() qos;
    Acl() acl;
    Next() next;

    apply {
        meta.ingress_port = standard.ingress_port;
        if (hdr.packet_out.isValid()) {
            standard.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
        } else {
            filtering.apply(hdr, meta, standard);
            if (meta.skip_forwarding == 0) {
                forwarding.apply(hdr, meta, standard);
            }
            qos.apply(hdr, meta, standard);
            acl.apply(hdr, meta, standard);
            next.apply(hdr, meta, standard);
        }
    }
}
