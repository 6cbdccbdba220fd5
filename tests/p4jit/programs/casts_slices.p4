/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices read and written, concatenation, casts that cut, widen and change sign, division and remainder by
 * powers of two (p4c takes no other), conditional expressions, booleans and an enum with a representation.
 */
#include <core.p4>
#include <v1model.p4>

enum bit<8> Colour {
    red = 1,
    green = 2,
    blue = 7
}

header in_t {
    bit<100> wide;
    bit<12>  twelve;
    int<16>  signed16;
    bit<64>  dividend;
}

header out_t {
    bit<12>  middle;
    bit<4>   bottom;
    bit<100> patched;
    bit<28>  joined;
    bit<32>  widened;
    int<32>  sign_extended;
    bit<24>  cut;
    bit<8>   cut_signed;
    bit<64>  quotient;
    bit<16>  remainder;
    bit<16>  wide_quotient;
    bit<1>   b0;
    bit<1>   b1;
    bit<1>   b2;
    bit<5>   zeros;
    Colour   colour;
}

struct headers_t {
    in_t  key;
    out_t result;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.key); transition accept; }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hdr.result.setValid();
        hdr.result.middle = hdr.key.wide[71:60];
        hdr.result.bottom = hdr.key.wide[3:0];
        hdr.result.patched = hdr.key.wide;
        hdr.result.patched[71:60] = hdr.key.twelve;
        hdr.result.patched[99:99] = 1;
        hdr.result.joined = hdr.key.twelve ++ (bit<16>)hdr.key.signed16;
        hdr.result.widened = (bit<32>)hdr.key.twelve;
        hdr.result.sign_extended = (int<32>)hdr.key.signed16;
        hdr.result.cut = (bit<24>)hdr.key.wide;
        hdr.result.cut_signed = (bit<8>)(bit<16>)(hdr.key.signed16 >> 4);
        hdr.result.quotient = hdr.key.dividend / 16;
        hdr.result.remainder = (bit<16>)(hdr.key.dividend % 1024);
        hdr.result.wide_quotient = (bit<16>)(hdr.key.wide / 0x10000000000000000);
        bool positive = hdr.key.signed16 > 0;
        bool odd = hdr.key.twelve[0:0] == 1;
        hdr.result.b0 = (bit<1>)(positive && odd);
        hdr.result.b1 = (bit<1>)(positive || odd);
        hdr.result.b2 = (bit<1>)(positive != odd);
        hdr.result.zeros = 0;
        hdr.result.colour = positive ? Colour.green : (odd ? Colour.blue : Colour.red);
        hdr.key.setInvalid();
    }
}

#include "include/v1switch.p4"
