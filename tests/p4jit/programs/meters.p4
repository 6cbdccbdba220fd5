/* SPDX-License-Identifier: Apache-2.0
 *
 * Meters: indirect in packets and in bytes, and direct. The tests give them rates too low to refill between
 * packets, so that colours depend on the bursts alone.
 */
#define V1MODEL_VERSION 20200408
#include <core.p4>
#include <v1model.p4>

header key_t {
    bit<8> a;
    bit<8> index;
}

header mark_t {
    bit<8> packets;
    bit<8> bytes;
    bit<8> direct;
}

struct headers_t {
    mark_t mark;
    key_t  key;
}

struct metadata_t {
    bit<2> colour;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    @name("in_packets")
    meter<bit<8>>(4, MeterType.packets) in_packets;
    @name("in_bytes")
    meter<bit<8>>(4, MeterType.bytes) in_bytes;
    @name("direct")
    direct_meter<bit<2>>(MeterType.packets) direct;
    action colour() { direct.read(meta.colour); }
    table t {
        key = { hdr.key.a: exact; }
        actions = { colour; NoAction; }
        meters = direct;
    }
    apply {
        sm.egress_spec = 1;
        hdr.mark.setValid();
        bit<8> result = 0xff;
        in_packets.execute_meter(hdr.key.index, result);
        hdr.mark.packets = result;
        result = 0xff;
        in_bytes.execute_meter(hdr.key.index, result);
        hdr.mark.bytes = result;
        meta.colour = 3;
        t.apply();
        hdr.mark.direct = (bit<8>)meta.colour;
    }
}

#include "include/v1switch.p4"
