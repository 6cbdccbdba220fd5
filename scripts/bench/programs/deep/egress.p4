// SPDX-License-Identifier: Apache-2.0
//
// Egress of deep.p4. Every packet but those to the CPU passes 13 tables.

control DeepEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    @name("depth_peak")
    register<bit<19>>(4096) depth_peak;
    @name("class_counter")
    counter(4096, CounterType.packets_and_bytes) class_counter;
    direct_counter(CounterType.packets_and_bytes) vlan_counter;
    direct_counter(CounterType.packets) latency_counter;

    action drop() {
        mark_to_drop(standard);
    }

    action set_mtu(bit<16> mtu) {
        meta.mtu = mtu;
    }

    action push_vlan() {
        hdr.vlan.setValid();
        hdr.vlan.priority = 0;
        hdr.vlan.drop_eligible = 0;
        hdr.vlan.id = meta.vlan_id;
        hdr.vlan.type = hdr.ethernet.type;
        hdr.ethernet.type = TYPE_VLAN;
    }

    action pop_vlan() {
        hdr.ethernet.type = meta.last_type;
        hdr.vlan.setInvalid();
        hdr.inner_vlan.setInvalid();
    }

    action keep() { }

    action set_source(mac_t source) {
        hdr.ethernet.source = source;
    }

    action push_label() {
        hdr.mpls.setValid();
        hdr.mpls.label = meta.mpls_label;
        hdr.mpls.traffic_class = 0;
        hdr.mpls.bottom = 1;
        hdr.mpls.ttl = 64;
        hdr.ethernet.type = TYPE_MPLS;
    }

    action encapsulate(bit<32> source, bit<32> destination, bit<24> vni) {
        hdr.inner_ethernet = hdr.ethernet;
        hdr.inner_ipv4 = hdr.ipv4;
        hdr.inner_udp = hdr.udp;
        hdr.inner_tcp = hdr.tcp;
        hdr.tcp.setInvalid();
        hdr.ipv4.setValid();
        hdr.ipv4.length = hdr.inner_ipv4.length + 50;
        hdr.ipv4.protocol = PROTOCOL_UDP;
        hdr.ipv4.ttl = 64;
        hdr.ipv4.source = source;
        hdr.ipv4.destination = destination;
        hdr.udp.setValid();
        hdr.udp.source = meta.flow_hash | 0xc000;
        hdr.udp.destination = PORT_VXLAN;
        hdr.udp.length = hdr.inner_ipv4.length + 30;
        hdr.udp.checksum = 0;
        hdr.vxlan.setValid();
        hdr.vxlan.flags = 8;
        hdr.vxlan.reserved = 0;
        hdr.vxlan.vni = vni;
        hdr.vxlan.reserved2 = 0;
    }

    action remark(bit<6> dscp) {
        hdr.ipv4.dscp = dscp;
    }

    action add_hop(bit<32> node) {
        hdr.hop.setValid();
        hdr.hop.node = node;
        hdr.hop.ingress_port = (bit<16>)meta.ingress_port;
        hdr.hop.egress_port = (bit<16>)standard.egress_port;
        hdr.hop.queue = meta.queue;
        hdr.hop.depth = (bit<24>)standard.enq_qdepth;
        hdr.hop.latency = standard.deq_timedelta;
        hdr.hop.time = standard.egress_global_timestamp;
    }

    action report(bit<32> session) {
        clone(CloneType.E2E, session);
    }

    action watch_depth(bit<32> index) {
        bit<19> peak;
        depth_peak.read(peak, index);
        if (standard.enq_qdepth > peak) {
            depth_peak.write(index, standard.enq_qdepth);
        }
    }

    action set_bucket(bit<8> bucket) {
        meta.latency_bucket = bucket;
    }

    action count_class(bit<32> index) {
        class_counter.count(index);
    }

    action stop_storm() {
        mark_to_drop(standard);
    }

    table port_properties {
        key = { standard.egress_port: exact @name("port"); }
        actions = { set_mtu; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    table vlans {
        key = { meta.vlan_id: exact @name("vlan"); standard.egress_port: exact @name("port"); }
        actions = { push_vlan; pop_vlan; drop; }
        default_action = push_vlan();
        counters = vlan_counter;
        size = 4096;
    }

    table sources {
        key = { standard.egress_port: exact @name("port"); meta.is_multicast: exact @name("multicast"); }
        actions = { set_source; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    table labels {
        key = { meta.mpls_label: exact @name("label"); }
        actions = { push_label; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table tunnels {
        key = { meta.tunnel_id: exact @name("tunnel"); }
        actions = { encapsulate; NoAction; }
        default_action = NoAction();
        size = 1024;
    }

    table acl {
        key = {
            standard.egress_port: ternary @name("port");
            meta.tenant: ternary @name("tenant");
            meta.ipv4_source: ternary @name("source");
            meta.ipv4_destination: ternary @name("destination");
            meta.protocol: ternary @name("protocol");
            meta.l4_destination: ternary @name("l4_destination");
        }
        actions = { keep; drop; }
        default_action = keep();
        size = 512;
    }

    table marking {
        key = { meta.slice: exact @name("slice"); meta.class: exact @name("class"); }
        actions = { remark; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    table telemetry {
        key = { meta.watched: exact @name("watched"); standard.egress_port: exact @name("port"); }
        actions = { add_hop; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    table depths {
        key = { standard.egress_port: exact @name("port"); meta.queue: exact @name("queue"); }
        actions = { watch_depth; NoAction; }
        default_action = NoAction();
        size = 4096;
    }

    // Time in the queue, in microseconds.
    table latencies {
        key = { standard.deq_timedelta: range @name("microseconds"); }
        actions = { set_bucket; }
        default_action = set_bucket(0xff);
        counters = latency_counter;
        const entries = {
            0 .. 9: set_bucket(0);
            10 .. 99: set_bucket(1);
            100 .. 999: set_bucket(2);
            1000 .. 9999: set_bucket(3);
        }
    }

    table reports {
        key = { meta.watched: exact @name("watched"); meta.latency_bucket: ternary @name("bucket"); }
        actions = { report; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    table classes {
        key = { standard.egress_port: exact @name("port"); meta.class: exact @name("class"); }
        actions = { count_class; NoAction; }
        default_action = NoAction();
        size = 2048;
    }

    table storms {
        key = {
            standard.egress_port: exact @name("port");
            hdr.ethernet.destination: ternary @name("destination");
            meta.colour: ternary @name("colour");
        }
        actions = { stop_storm; NoAction; }
        default_action = NoAction();
        size = 512;
    }

    apply {
        if (standard.egress_port == PORT_CPU) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.ingress_port;
            hdr.packet_in.reserved = 0;
        } else {
            if (meta.is_multicast == 1 && standard.egress_port == meta.ingress_port) {
                mark_to_drop(standard);
            }
            port_properties.apply();
            vlans.apply();
            sources.apply();
            if (meta.forwarding == FORWARD_IPV4 && hdr.ipv4.isValid()) {
                hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
                if (hdr.ipv4.ttl == 0) {
                    mark_to_drop(standard);
                }
            } else if (meta.forwarding == FORWARD_IPV6 && hdr.ipv6.isValid()) {
                hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
            }
            labels.apply();
            tunnels.apply();
            acl.apply();
            marking.apply();
            telemetry.apply();
            depths.apply();
            latencies.apply();
            reports.apply();
            classes.apply();
            storms.apply();
            if (meta.mtu != 0 && standard.packet_length > (bit<32>)meta.mtu) {
                mark_to_drop(standard);
            }
        }
    }
}
