// SPDX-License-Identifier: Apache-2.0
// Ingress, last: what was decided becomes what the switch does.

#ifndef DIN_V1MODEL_VERDICT_P4_
#define DIN_V1MODEL_VERDICT_P4_

control Verdict(inout ingress_metadata_t ingress, inout standard_metadata_t standard_metadata) {
    // Why packets were dropped, in ingress: by drop_reason_t.
    @id(DROPS_COUNTER_ID)
    counter(DROP_REASONS_SIZE, CounterType.packets_and_bytes) drops;

    // Packets put in each queue of each port, at port * 8 + queue. Those that `dequeued` lacks were dropped there.
    @id(ENQUEUED_COUNTER_ID)
    counter(PORT_QUEUES_SIZE, CounterType.packets_and_bytes) enqueued;

    apply {
        if (ingress.verdict == VERDICT_NONE && ingress.drop_reason == DROP_NONE) {
            // Nobody knew what to do with it, and port 0 is a port like any other.
            ingress.drop_reason = DROP_NO_DESTINATION;
        }
        if (ingress.drop_reason != DROP_NONE) {
            drops.count((bit<32>)ingress.drop_reason);
        } else {
            if (ingress.verdict == VERDICT_PUNT) {
                ingress.egress_port = CPU_PORT;
            } else if (ingress.verdict == VERDICT_REPLY) {
                ingress.egress_port = ingress.ingress_port;
            }
            standard_metadata.egress_spec = ingress.egress_port;
            standard_metadata.priority = (bit<3>)ingress.queue;
            enqueued.count((bit<32>)(ingress.egress_port ++ ingress.queue[2:0]));
        }
    }
}

#endif  // DIN_V1MODEL_VERDICT_P4_
