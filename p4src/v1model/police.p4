// SPDX-License-Identifier: Apache-2.0
// What enters the fabric, held to what was promised for it: 802.1Qci in spirit.
//
//   streams:        stream -> policer of its own
//   tenant_meters:  tenant meter -> policer of a tenant's traffic that is in no stream
//
// A policer has two rates and three colours (RFC 2698), and a largest frame. It counts bytes as they will be on the wire,
// which v1model's meters cannot: they count the packet as it came, without what the fabric adds.
//
// It is the virtual scheduling form of the token bucket (GCRA, ITU-T I.371), for a rate and a burst each:
//
//   a packet costs bytes x time per byte; the bucket's clock, never behind now, moves on by that;
//   it conforms if the clock is then at most burst x time per byte ahead of now; else the clock stays.
//
// A time is one number, so that a cell holds both buckets and one action reads and writes them. Times in 2^-16 us: wide
// enough for the switch's clock never to wrap. A time per byte is in 2^-24 us, 0.05 % at 100 Gbit/s.
// What arrives within the same us arrives at once, for the clock tells no more.

#ifndef DIN_V1MODEL_POLICE_P4_
#define DIN_V1MODEL_POLICE_P4_

#include "ids.p4"
#include "metadata.p4"

typedef bit<2> colour_t;
const colour_t COLOUR_GREEN  = 0;
const colour_t COLOUR_YELLOW = 1;
const colour_t COLOUR_RED    = 2;

// RFC 2698, colour-blind: red takes from neither bucket, yellow from the peak's alone.
control Buckets(in bit<32> index, in bit<64> now, in bit<64> committed_cost, in bit<64> committed_tolerance,
                in bit<64> peak_cost, in bit<64> peak_tolerance, out colour_t colour) {
    // The peak bucket's clock above the committed one's; streams, then tenant meters.
    @id(POLICERS_REGISTER_ID)
    register<bit<128>>(STREAMS_SIZE + TENANT_METERS_SIZE) policers;

    action take() {
        bit<128> clocks;
        policers.read(clocks, index);
        bit<64> peak = clocks[127:64];
        bit<64> committed = clocks[63:0];
        if (peak < now) {
            peak = now;
        }
        if (committed < now) {
            committed = now;
        }
        peak = peak + peak_cost;
        committed = committed + committed_cost;
        colour = COLOUR_RED;
        if (peak - now <= peak_tolerance) {
            clocks[127:64] = peak;
            colour = COLOUR_YELLOW;
            if (committed - now <= committed_tolerance) {
                clocks[63:0] = committed;
                colour = COLOUR_GREEN;
            }
        }
        policers.write(index, clocks);
    }

    apply {
        take();
    }
}

control Police(inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    Buckets() buckets;

    bit<1>  policed = 0;
    bit<1>  drop_excess = 0;
    bit<32> index = 0;
    bit<16> wire_length = 0;
    bit<16> largest = 0;
    bit<64> committed_time = 0;
    bit<64> committed_tolerance = 0;
    bit<64> peak_time = 0;
    bit<64> peak_tolerance = 0;
    colour_t colour = COLOUR_GREEN;

    // `max_frame` in bytes on the wire. What is beyond the peak rate or too large is dropped, or, without `drop`, marked,
    // as what is beyond the committed rate always is.
    @id(SET_POLICER_ACTION_ID)
    @action_restriction("drop <= 1 && committed_time_per_byte >= peak_time_per_byte")
    action set_policer(@id(1) bit<48> committed_time_per_byte, @id(2) bit<64> committed_burst_time,
                       @id(3) bit<48> peak_time_per_byte, @id(4) bit<64> peak_burst_time, @id(5) bit<16> max_frame,
                       @id(6) bit<1> drop) {
        policed = 1;
        drop_excess = drop;
        largest = max_frame;
        committed_time = (bit<64>)committed_time_per_byte;
        committed_tolerance = committed_burst_time;
        peak_time = (bit<64>)peak_time_per_byte;
        peak_tolerance = peak_burst_time;
    }

    @id(STREAMS_TABLE_ID)
    @entry_restriction("stream != 0 && stream < 35840")
    table streams {
        key = {
            ingress.stream : exact @id(1) @name("stream");
        }
        actions = {
            set_policer;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = STREAMS_SIZE;
    }

    @id(TENANT_METERS_TABLE_ID)
    @entry_restriction("tenant_meter != 0 && tenant_meter < 16384")
    table tenant_meters {
        key = {
            ingress.tenant_meter : exact @id(1) @name("tenant_meter");
        }
        actions = {
            set_policer;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = TENANT_METERS_SIZE;
    }

    // The largest frame that this packet will be on its way, with what Ethernet needs besides: preamble 8, check
    // sequence 4, gap 12. That is what takes up a link, and what rates of streams may be added up to.
    action measure() {
        wire_length = ingress.ip_length + 14;
        if (ingress.verdict == VERDICT_ENCAPSULATE) {
            wire_length = wire_length + FABRIC_OVERHEAD;
            if (ingress.int_instructions != 0) {
                wire_length = wire_length + INT_OVERHEAD + (((bit<16>)ingress.int_hop_ml * (bit<16>)ingress.int_hops) << 2);
            }
        } else if (bridged.vid != 0) {
            wire_length = wire_length + 4;
        }
        if (wire_length < 60) {
            wire_length = 60;
        }
        wire_length = wire_length + 24;
    }

    apply {
        if (ingress.stream != 0) {
            streams.apply();
            index = (bit<32>)ingress.stream;
        } else {
            tenant_meters.apply();
            index = (bit<32>)ingress.tenant_meter + STREAMS_SIZE;
        }
        if (policed == 1) {
            measure();
            if (wire_length > largest) {
                if (drop_excess == 0) {
                    bridged.marked = 1;
                } else if (ingress.stream != 0) {
                    ingress.drop_reason = DROP_STREAM_SIZE;
                } else {
                    ingress.drop_reason = DROP_TENANT_RATE;
                }
            } else {
                buckets.apply(index, (bit<64>)ingress.timestamp << 16,
                              ((bit<64>)wire_length * committed_time + 128) >> 8, committed_tolerance,
                              ((bit<64>)wire_length * peak_time + 128) >> 8, peak_tolerance, colour);
                if (colour == COLOUR_RED && drop_excess == 1) {
                    if (ingress.stream != 0) {
                        ingress.drop_reason = DROP_STREAM_RATE;
                    } else {
                        ingress.drop_reason = DROP_TENANT_RATE;
                    }
                } else if (colour != COLOUR_GREEN) {
                    bridged.marked = 1;
                }
            }
        }
    }
}

#endif  // DIN_V1MODEL_POLICE_P4_
