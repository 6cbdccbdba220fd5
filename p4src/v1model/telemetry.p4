// SPDX-License-Identifier: Apache-2.0
// What telemetry remembers. Each register is a control with one action that reads and writes one cell.
//
//   ingress   DropQuota, and of a watched connection (tokens.p4): ConnectionOwner, ConnectionPhase, RequestTime,
//             HeadersTime, FirstTokenTime, SegmentTime, SegmentCount, GapSum, GapMax, Gaps
//   egress    LateDropQuota, QueueQuota, FlowFilter, ReportSequence
//
// A quota is per window of 2^20 us, about a second. Cell: the window's number and what it has had.

#ifndef DIN_V1MODEL_TELEMETRY_P4_
#define DIN_V1MODEL_TELEMETRY_P4_

#include "ids.p4"
#include "metadata.p4"

// ---- Quotas --------------------------------------------------------------------------------------------

// Of each port and reason: one port's malformed packets leave the others' drops their reports.
control DropQuota(in port_id_t port, in drop_reason_t reason, in timestamp_t now, in bit<16> quota,
                  inout bit<1> granted) {
    @id(DROP_QUOTAS_REGISTER_ID)
    register<bit<48>>(DROP_QUOTAS_SIZE) drop_quotas;

    action ask(bit<32> window) {
        bit<48> cell;
        drop_quotas.read(cell, (bit<32>)(port ++ reason[5:0]));
        if (cell[47:16] != window) {
            cell = window ++ 16w0;
        }
        if (cell[15:0] < quota) {
            cell = cell + 1;
            granted = 1;
        }
        drop_quotas.write((bit<32>)(port ++ reason[5:0]), cell);
    }

    apply {
        ask((bit<32>)now[47:20]);
    }
}

// Of each queue: packets that came out of it too late.
control LateDropQuota(in port_id_t port, in queue_id_t queue, in timestamp_t now, in bit<16> quota,
                      inout bit<1> granted) {
    @id(LATE_DROP_QUOTAS_REGISTER_ID)
    register<bit<48>>(PORT_QUEUES_SIZE) late_drop_quotas;

    action ask(bit<32> window) {
        bit<48> cell;
        late_drop_quotas.read(cell, (bit<32>)(port ++ queue[2:0]));
        if (cell[47:16] != window) {
            cell = window ++ 16w0;
        }
        if (cell[15:0] < quota) {
            cell = cell + 1;
            granted = 1;
        }
        late_drop_quotas.write((bit<32>)(port ++ queue[2:0]), cell);
    }

    apply {
        ask((bit<32>)now[47:20]);
    }
}

// Of each queue: packets that met congestion in it.
control QueueQuota(in port_id_t port, in queue_id_t queue, in timestamp_t now, in bit<16> quota,
                   inout bit<1> granted) {
    @id(QUEUE_QUOTAS_REGISTER_ID)
    register<bit<48>>(PORT_QUEUES_SIZE) queue_quotas;

    action ask(bit<32> window) {
        bit<48> cell;
        queue_quotas.read(cell, (bit<32>)(port ++ queue[2:0]));
        if (cell[47:16] != window) {
            cell = window ++ 16w0;
        }
        if (cell[15:0] < quota) {
            cell = cell + 1;
            granted = 1;
        }
        queue_quotas.write((bit<32>)(port ++ queue[2:0]), cell);
    }

    apply {
        ask((bit<32>)now[47:20]);
    }
}

// ---- Reports -------------------------------------------------------------------------------------------

// The number of the next report to a collector.
control ReportSequence(in bit<6> hw_id, inout bit<22> sequence) {
    @id(REPORT_SEQUENCE_REGISTER_ID)
    register<bit<22>>(REPORT_SINKS_SIZE) report_sequence;

    action next() {
        report_sequence.read(sequence, (bit<32>)hw_id);
        report_sequence.write((bit<32>)hw_id, sequence + 1);
    }

    apply {
        next();
    }
}

// Has this flow's signature been seen? It is kept in two places, so that two flows which share one do not report each
// other's every packet: only a packet that neither place knows is news.
control FlowFilter(in bit<32> flow_hash, in flow_signature_t signed, inout bit<1> is_new) {
    @id(FLOW_FILTER_A_REGISTER_ID)
    register<bit<32>>(FLOW_FILTER_SIZE) flow_filter_a;
    @id(FLOW_FILTER_B_REGISTER_ID)
    register<bit<32>>(FLOW_FILTER_SIZE) flow_filter_b;

    bit<16> place_a = 0;
    bit<16> place_b = 0;
    bit<32> signature = 0;
    bit<1>  new_in_a = 0;
    bit<1>  new_in_b = 0;

    action visit_a() {
        bit<32> seen;
        flow_filter_a.read(seen, (bit<32>)place_a);
        if (seen != signature) {
            new_in_a = 1;
        }
        flow_filter_a.write((bit<32>)place_a, signature);
    }

    action visit_b() {
        bit<32> seen;
        flow_filter_b.read(seen, (bit<32>)place_b);
        if (seen != signature) {
            new_in_b = 1;
        }
        flow_filter_b.write((bit<32>)place_b, signature);
    }

    apply {
        hash(place_a, HashAlgorithm.crc16, 16w0, { flow_hash }, (bit<32>)FLOW_FILTER_SIZE);
        hash(place_b, HashAlgorithm.crc32, 16w0, { flow_hash, 8w0xa5 }, (bit<32>)FLOW_FILTER_SIZE);
        hash(signature, HashAlgorithm.crc32, 32w0,
             { flow_hash, signed.ingress_port, signed.egress_port, signed.latency, signed.time, signed.hops,
               signed.hop_0, signed.hop_1, signed.hop_2, signed.hop_3, signed.hop_4, signed.hop_5, signed.hop_6 },
             64w0x1_0000_0000);
        visit_a();
        visit_b();
        is_new = new_in_a & new_in_b;
    }
}

// ---- Watched connections -------------------------------------------------------------------------------

// us after which a connection that says nothing loses its place.
const bit<32> TOKEN_SILENCE = 60_000_000;

// Where a connection's state is, and what tells it from others that would be there too: the same in both directions.
control ConnectionPlace(in flow_t flow, inout bit<16> place, inout bit<32> signature) {
    apply {
        hash(signature, HashAlgorithm.crc32, 32w0,
             { flow.src_addr ^ flow.dst_addr, flow.src_addr + flow.dst_addr, flow.src_port ^ flow.dst_port,
               flow.src_port + flow.dst_port, flow.protocol }, 64w0x1_0000_0000);
        hash(place, HashAlgorithm.crc16, 16w0,
             { flow.src_addr ^ flow.dst_addr, flow.src_port ^ flow.dst_port, flow.protocol }, (bit<32>)WATCHED_SIZE);
    }
}

// One connection has a place until it is closed or silent for a minute; others that come meanwhile are not measured.
// Cell: signature, time of the last visit.
control ConnectionOwner(in bit<16> place, in bit<32> signature, in bit<32> now, in bit<1> claims, in bit<1> leaves,
                        inout bit<1> owns, inout bit<1> is_fresh) {
    @id(CONNECTION_OWNER_REGISTER_ID)
    register<bit<64>>(WATCHED_SIZE) connection_owner;

    action visit() {
        bit<64> cell;
        connection_owner.read(cell, (bit<32>)place);
        if (cell[63:32] == signature) {
            owns = 1;
        } else if (claims == 1 && (cell == 0 || now - cell[31:0] > TOKEN_SILENCE)) {
            owns = 1;
            is_fresh = 1;
        }
        if (owns == 1) {
            cell = signature ++ now;
            if (leaves == 1) {
                cell = 0;
            }
        }
        connection_owner.write((bit<32>)place, cell);
    }

    apply {
        visit();
    }
}

// `phase` becomes what it was before this packet.
control ConnectionPhase(in bit<16> place, in bit<1> is_fresh, in bit<1> request, in bit<1> response, in bit<1> closed,
                        in bit<1> half_closed, inout token_phase_t phase) {
    @id(CONNECTION_PHASE_REGISTER_ID)
    register<token_phase_t>(WATCHED_SIZE) connection_phase;

    action visit() {
        token_phase_t next;
        connection_phase.read(phase, (bit<32>)place);
        if (is_fresh == 1) {
            phase = PHASE_IDLE;
        }
        next = phase;
        if (closed == 1) {
            next = PHASE_IDLE;
        } else if (request == 1) {
            next = PHASE_REQUESTED;
        } else if (response == 1) {
            if (phase == PHASE_REQUESTED) {
                next = PHASE_HEADERS;
            } else if (phase == PHASE_HEADERS) {
                next = PHASE_STREAMING;
            }
        } else if (half_closed == 1 && phase != PHASE_REQUESTED) {
            next = PHASE_IDLE;
        }
        connection_phase.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

// Time since the last request payload.
control RequestTime(in bit<16> place, in bit<32> now, in bit<1> set, inout bit<32> elapsed) {
    @id(REQUEST_TIME_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) request_time;

    action visit() {
        bit<32> then;
        request_time.read(then, (bit<32>)place);
        elapsed = now - then;
        if (set == 1) {
            then = now;
        }
        request_time.write((bit<32>)place, then);
    }

    apply {
        visit();
    }
}

// Those that follow tell their value with this packet counted, and begin anew after it if `reset` is set.

control HeadersTime(in bit<16> place, in bit<1> set, in bit<1> reset, in bit<32> elapsed, inout bit<32> value) {
    @id(HEADERS_TIME_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) headers_time;

    action visit() {
        bit<32> next;
        headers_time.read(value, (bit<32>)place);
        if (set == 1) {
            value = elapsed;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        headers_time.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

control FirstTokenTime(in bit<16> place, in bit<1> set, in bit<1> reset, in bit<32> elapsed, inout bit<32> value) {
    @id(FIRST_TOKEN_TIME_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) first_token_time;

    action visit() {
        bit<32> next;
        first_token_time.read(value, (bit<32>)place);
        if (set == 1) {
            value = elapsed;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        first_token_time.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

// Time since the last response payload.
control SegmentTime(in bit<16> place, in bit<32> now, in bit<1> set, inout bit<32> gap) {
    @id(SEGMENT_TIME_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) segment_time;

    action visit() {
        bit<32> then;
        segment_time.read(then, (bit<32>)place);
        gap = now - then;
        if (set == 1) {
            then = now;
        }
        segment_time.write((bit<32>)place, then);
    }

    apply {
        visit();
    }
}

control SegmentCount(in bit<16> place, in bit<1> add, in bit<1> reset, inout bit<32> value) {
    @id(SEGMENTS_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) token_segments;

    action visit() {
        bit<32> next;
        token_segments.read(value, (bit<32>)place);
        if (add == 1) {
            value = value |+| 1;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        token_segments.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

control GapSum(in bit<16> place, in bit<1> add, in bit<1> reset, in bit<32> gap, inout bit<32> value) {
    @id(GAP_SUM_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) gap_sum;

    action visit() {
        bit<32> next;
        gap_sum.read(value, (bit<32>)place);
        if (add == 1) {
            value = value |+| gap;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        gap_sum.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

control GapMax(in bit<16> place, in bit<1> add, in bit<1> reset, in bit<32> gap, inout bit<32> value) {
    @id(GAP_MAX_REGISTER_ID)
    register<bit<32>>(WATCHED_SIZE) gap_max;

    action visit() {
        bit<32> next;
        gap_max.read(value, (bit<32>)place);
        if (add == 1 && gap > value) {
            value = gap;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        gap_max.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

// 16 counters of 16 bits in a cell; `one` is 1 at the place of the counter that is meant. A full one stays full.
control Gaps(in bit<16> place, in bit<1> add, in bit<1> reset, in bit<256> one, inout bit<256> value) {
    @id(GAPS_REGISTER_ID)
    register<bit<256>>(WATCHED_SIZE) token_gaps;

    action visit() {
        bit<256> next;
        // All bits of that counter: for the highest, 1 << 16 of its `one` is 2^256, that is 0.
        bit<256> full = (one << 16) - one;
        token_gaps.read(value, (bit<32>)place);
        if (add == 1 && (value & full) != full) {
            value = value + one;
        }
        next = value;
        if (reset == 1) {
            next = 0;
        }
        token_gaps.write((bit<32>)place, next);
    }

    apply {
        visit();
    }
}

#endif  // DIN_V1MODEL_TELEMETRY_P4_
