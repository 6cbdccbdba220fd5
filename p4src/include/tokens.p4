// SPDX-License-Identifier: Apache-2.0
// Ingress, at the leaves: how a watched connection's tokens come. Both directions pass here, so one place sees the
// request and its response, whichever of the two leaves this is; of a leaf that is both, the same.
//
//   idle --request--> requested --response--> headers --response--> streaming --response--> ...
//                         ^                      |                      |
//                         +------ request: the response is over --------+     closing it leads to idle
//
// What is counted are TCP segments with payload. A server that streams sends the headers of its response at once
// and the first token in the next segment, so the second segment is the first token's. Gaps are between the segments
// of tokens: the wait for the first one is not among them. A segment that is sent again counts again.
//
//   gap_bins: gap -> its counter of the histogram. The lowest is for gaps below 128 us, each further one for twice as
//             long as the one before, the highest for 2^21 us (2.1 s) and more.
//
// Times are the target's: us.

#ifndef DIN_TOKENS_P4_
#define DIN_TOKENS_P4_

#include "ids.p4"
#include "metadata.p4"

control Tokens(in headers_t headers, in ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    ConnectionPlace() connection_place;
    ConnectionOwner() connection_owner;
    ConnectionPhase() connection_phase;
    RequestTime() request_time;
    HeadersTime() headers_time;
    FirstTokenTime() first_token_time;
    SegmentTime() segment_time;
    SegmentCount() segment_count;
    GapSum() gap_sum;
    GapMax() gap_max;
    Gaps() gaps;

    bit<16> place = 0;
    bit<32> signature = 0;
    bit<32> now = 0;
    bit<1>  request = 0;      // this packet is a request's, with payload
    bit<1>  response = 0;     // a response's, with payload
    bit<1>  closed = 0;       // there will be no more responses
    bit<1>  half_closed = 0;  // there will be no more requests
    bit<1>  owns = 0;
    bit<1>  is_fresh = 0;
    token_phase_t phase = PHASE_IDLE;
    bit<1>  is_headers = 0;
    bit<1>  is_first_token = 0;
    bit<1>  is_token = 0;     // further ones
    bit<32> elapsed = 0;
    bit<32> gap = 0;
    bit<256> bin = 0;

    @id(SET_GAP_BIN_ACTION_ID)
    action set_gap_bin(@id(1) bit<256> one) {
        bin = one;
    }

    @id(GAP_BINS_TABLE_ID)
    table gap_bins {
        key = {
            gap : lpm @id(1) @name("gap");
        }
        actions = {
            set_gap_bin;
        }
        const entries = {
            0x00000000 &&& 0xffffff80 : set_gap_bin(256w1);
            0x00000080 &&& 0xffffff80 : set_gap_bin(256w1 << 16);
            0x00000100 &&& 0xffffff00 : set_gap_bin(256w1 << 32);
            0x00000200 &&& 0xfffffe00 : set_gap_bin(256w1 << 48);
            0x00000400 &&& 0xfffffc00 : set_gap_bin(256w1 << 64);
            0x00000800 &&& 0xfffff800 : set_gap_bin(256w1 << 80);
            0x00001000 &&& 0xfffff000 : set_gap_bin(256w1 << 96);
            0x00002000 &&& 0xffffe000 : set_gap_bin(256w1 << 112);
            0x00004000 &&& 0xffffc000 : set_gap_bin(256w1 << 128);
            0x00008000 &&& 0xffff8000 : set_gap_bin(256w1 << 144);
            0x00010000 &&& 0xffff0000 : set_gap_bin(256w1 << 160);
            0x00020000 &&& 0xfffe0000 : set_gap_bin(256w1 << 176);
            0x00040000 &&& 0xfffc0000 : set_gap_bin(256w1 << 192);
            0x00080000 &&& 0xfff80000 : set_gap_bin(256w1 << 208);
            0x00100000 &&& 0xfff00000 : set_gap_bin(256w1 << 224);
        }
        const default_action = set_gap_bin(256w1 << 240);
    }

    action understand() {
        now = ingress.timestamp[31:0];
        if (ingress.direction == DIRECTION_REQUEST) {
            if (ingress.payload_length != 0) {
                request = 1;
            } else if ((headers.tcp.flags & TCP_FIN) != 0) {
                half_closed = 1;
            }
        } else if (ingress.direction == DIRECTION_RESPONSE) {
            if (ingress.payload_length != 0) {
                response = 1;
            }
            if ((headers.tcp.flags & TCP_FIN) != 0) {
                closed = 1;
            }
        }
        if ((headers.tcp.flags & TCP_RST) != 0) {
            closed = 1;
        }
    }

    apply {
        if (headers.tcp.isValid() && ingress.is_fragment == 0 &&
            (ingress.verdict == VERDICT_ENCAPSULATE || ingress.verdict == VERDICT_DELIVER)) {
            understand();
            if (request == 1 || response == 1 || closed == 1 || half_closed == 1) {
                connection_place.apply(ingress.flow, place, signature);
                connection_owner.apply(place, signature, now, request, closed, owns, is_fresh);
            }
            if (owns == 1) {
                connection_phase.apply(place, is_fresh, request, response, closed, half_closed, phase);
                if (response == 1) {
                    if (phase == PHASE_REQUESTED) {
                        is_headers = 1;
                    } else if (phase == PHASE_HEADERS) {
                        is_first_token = 1;
                        bridged.tokens.event = TOKEN_FIRST;
                    } else if (phase == PHASE_STREAMING) {
                        is_token = 1;
                    }
                }
                if (((request == 1 || closed == 1 || half_closed == 1) &&
                     (phase == PHASE_HEADERS || phase == PHASE_STREAMING)) || (closed == 1 && is_headers == 1)) {
                    bridged.tokens.event = TOKEN_DONE;
                }
                request_time.apply(place, now, request, elapsed);
                headers_time.apply(place, is_headers, request, elapsed, bridged.tokens.headers_time);
                first_token_time.apply(place, is_first_token, request, elapsed, bridged.tokens.first_token_time);
                segment_time.apply(place, now, response, gap);
                gap_bins.apply();
                segment_count.apply(place, is_first_token | is_token, request, bridged.tokens.segments);
                gap_sum.apply(place, is_token, request, gap, bridged.tokens.gap_sum);
                gap_max.apply(place, is_token, request, gap, bridged.tokens.gap_max);
                gaps.apply(place, is_token, request, bin, bridged.tokens.gaps);
            }
        }
    }
}

#endif  // DIN_TOKENS_P4_
