// SPDX-License-Identifier: Apache-2.0
// Who may send what: trust is decided once, by the port a packet comes in on.
//
//   ports: ingress port -> role. A port that is not configured has none, and everything from it is dropped.
//   infrastructure: destinations that only the fabric itself may send to, beside the SID block.

#ifndef DIN_ADMISSION_P4_
#define DIN_ADMISSION_P4_

#include "ids.p4"
#include "metadata.p4"

control Ports(inout ingress_metadata_t ingress) {
    // A port with hosts behind it, all in `zone`.
    @id(SET_ACCESS_ACTION_ID)
    action set_access(@id(1) zone_id_t zone) {
        ingress.role = ROLE_ACCESS;
        ingress.port_zone = zone;
    }

    // A link to another switch of the fabric.
    @id(SET_FABRIC_ACTION_ID)
    action set_fabric() {
        ingress.role = ROLE_FABRIC;
    }

    @id(REFUSE_PORT_ACTION_ID)
    action refuse_port() {
        ingress.drop_reason = DROP_PORT;
    }

    @id(PORTS_TABLE_ID)
    table ports {
        key = {
            ingress.ingress_port : exact @id(1) @name("port");
        }
        actions = {
            set_access;
            set_fabric;
            @defaultonly refuse_port;
        }
        const default_action = refuse_port();
        size = PORTS_SIZE;
    }

    apply {
        ports.apply();
    }
}

control Infrastructure(in headers_t headers, inout ingress_metadata_t ingress) {
    @id(REFUSE_DESTINATION_ACTION_ID)
    action refuse_destination() {
        ingress.drop_reason = DROP_FABRIC_DESTINATION;
    }

    @id(INFRASTRUCTURE_TABLE_ID)
    table infrastructure {
        key = {
            ingress.flow.dst_addr : lpm @id(1) @name("dst_addr");
        }
        actions = {
            refuse_destination;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = INFRASTRUCTURE_SIZE;
    }

    apply {
        if (headers.fabric.ipv6.isValid() ||
            (headers.ipv6.isValid() && headers.ipv6.dst_addr[127:96] == SID_BLOCK)) {
            refuse_destination();
        } else {
            infrastructure.apply();
        }
    }
}

#endif  // DIN_ADMISSION_P4_
