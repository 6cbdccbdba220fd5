// SPDX-License-Identifier: Apache-2.0
// A deadline becomes slack: what a packet may wait in queues, the way itself being paid for.

#ifndef DIN_DEADLINES_P4_
#define DIN_DEADLINES_P4_

#include "constants.p4"

// Both in us. A deadline of 0 is none, and so is one of more than half an hour: its slack would look like none.
bit<32> initial_slack(in bit<32> deadline, in bit<32> base_latency) {
    return deadline == 0 || deadline[31:31] == 1 ? NO_DEADLINE : deadline |-| base_latency;
}

#endif  // DIN_DEADLINES_P4_
