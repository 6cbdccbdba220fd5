// SPDX-License-Identifier: Apache-2.0
// SP-PIFO (NSDI'20) over the four scheduled queues of each port. The bounds of a port are one register cell, so
// that one action reads, moves and writes them all.

#ifndef DIN_V1MODEL_SP_PIFO_P4_
#define DIN_V1MODEL_SP_PIFO_P4_

control SpPifo(in port_id_t port, in bit<32> arrival, in bit<32> slack, inout queue_id_t queue) {
    // The bound of queue 5, the highest, in the top 32 bits; of queue 2 in the lowest.
    @id(SP_PIFO_REGISTER_ID)
    register<bit<128>>(PORTS_SIZE) sp_pifo_bounds;

    // Ranks are times in us and wrap: a is at least b if a - b, as a signed number, is not negative.
    action pick(bit<32> rank) {
        bit<128> bounds;
        sp_pifo_bounds.read(bounds, (bit<32>)port);
        bit<32> highest = bounds[127:96];
        if ((rank - bounds[31:0])[31:31] == 0) {
            bounds[31:0] = rank;
            queue = QUEUE_SCHEDULED_LOW;
        } else if ((rank - bounds[63:32])[31:31] == 0) {
            bounds[63:32] = rank;
            queue = QUEUE_SCHEDULED_LOW + 1;
        } else if ((rank - bounds[95:64])[31:31] == 0) {
            bounds[95:64] = rank;
            queue = QUEUE_SCHEDULED_LOW + 2;
        } else if ((rank - highest)[31:31] == 0) {
            bounds[127:96] = rank;
            queue = QUEUE_SCHEDULED_HIGH;
        } else {
            // Push-down: even the highest queue is ahead of this packet, by so much.
            bit<32> cost = highest - rank;
            bounds = rank ++ (bounds[95:64] - cost) ++ (bounds[63:32] - cost) ++ (bounds[31:0] - cost);
            queue = QUEUE_SCHEDULED_HIGH;
        }
        sp_pifo_bounds.write((bit<32>)port, bounds);
    }

    apply {
        if (slack[31:31] == 1) {
            // Without a deadline, after all that have one; its rank would say nothing of the others'.
            queue = QUEUE_SCHEDULED_LOW;
        } else {
            pick(arrival + slack);
        }
    }
}

#endif  // DIN_V1MODEL_SP_PIFO_P4_
