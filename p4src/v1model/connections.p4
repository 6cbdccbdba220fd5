// SPDX-License-Identifier: Apache-2.0
// How many connections an instance has: what its own metrics tell a second late, the switches know at once.
//
//   connections, at instance * 8 + event, packets:
//     0 SYN steered to it    2 FIN from a client    4 FIN from the instance
//     1 SYN-ACK of it        3 RST from a client    5 RST from the instance
//
// Each is counted once in the fabric, where it enters it from a host: requests at the client's leaf, answers at the
// instance's, and only what goes on from there. In flight are about the SYN-ACKs less what was closed; unanswered, the
// SYNs less the SYN-ACKs. These are packets, and one sent again is counted again. A SYN sent again to an instance that
// is silent is what "unanswered" should show; for a FIN sent again, or a RST after a FIN, FIN and RST are apart: what
// was closed lies between FINs alone and the sum of both.

#ifndef DIN_V1MODEL_CONNECTIONS_P4_
#define DIN_V1MODEL_CONNECTIONS_P4_

#include "ids.p4"
#include "metadata.p4"

typedef bit<3> connection_event_t;
const connection_event_t CONNECTION_SYN          = 0;
const connection_event_t CONNECTION_SYN_ACK      = 1;
const connection_event_t CONNECTION_CLIENT_FIN   = 2;
const connection_event_t CONNECTION_CLIENT_RST   = 3;
const connection_event_t CONNECTION_INSTANCE_FIN = 4;
const connection_event_t CONNECTION_INSTANCE_RST = 5;
const connection_event_t CONNECTION_NONE         = 7;

control Connections(in headers_t headers, in ingress_metadata_t ingress) {
    connection_event_t event = CONNECTION_NONE;

    @id(CONNECTIONS_COUNTER_ID)
    counter(INSTANCES_SIZE * 8, CounterType.packets) connections;

    apply {
        if (ingress.role == ROLE_ACCESS && ingress.instance != 0 && headers.tcp.isValid()) {
            if (ingress.direction == DIRECTION_REQUEST) {
                if ((headers.tcp.flags & TCP_RST) != 0) {
                    event = CONNECTION_CLIENT_RST;
                } else if ((headers.tcp.flags & TCP_FIN) != 0) {
                    event = CONNECTION_CLIENT_FIN;
                } else if ((headers.tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
                    event = CONNECTION_SYN;
                }
            } else if (ingress.direction == DIRECTION_RESPONSE) {
                if ((headers.tcp.flags & TCP_RST) != 0) {
                    event = CONNECTION_INSTANCE_RST;
                } else if ((headers.tcp.flags & TCP_FIN) != 0) {
                    event = CONNECTION_INSTANCE_FIN;
                } else if ((headers.tcp.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
                    event = CONNECTION_SYN_ACK;
                }
            }
            if (event != CONNECTION_NONE) {
                connections.count((bit<32>)(ingress.instance[11:0] ++ event));
            }
        }
    }
}

#endif  // DIN_V1MODEL_CONNECTIONS_P4_
