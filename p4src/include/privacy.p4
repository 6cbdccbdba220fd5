// SPDX-License-Identifier: Apache-2.0
// Where a labelled packet may be. Whatever the other tables say, a packet leaves for a zone only if (its label, that
// zone) is listed: once by where it will end, and once more at every port that leads into another zone. Label 0 has to
// be listed like any other.
//
//   destination_guard: (label, zone of the destination) -> permitted
//   boundaries:        port -> inside a zone, or crosses into one
//   boundary_guard:    (label, zone beyond the port) -> permitted

#ifndef DIN_PRIVACY_P4_
#define DIN_PRIVACY_P4_

#include "ids.p4"
#include "metadata.p4"

control DestinationGuard(inout ingress_metadata_t ingress) {
    @id(PERMIT_DESTINATION_ACTION_ID)
    action permit_destination() {
    }

    @id(REFUSE_DESTINATION_ZONE_ACTION_ID)
    action refuse_destination_zone() {
        ingress.drop_reason = DROP_ZONE;
    }

    @id(DESTINATION_GUARD_TABLE_ID)
    table destination_guard {
        key = {
            ingress.label : exact @id(1) @name("label");
            ingress.zone : exact @id(2) @name("zone");
        }
        actions = {
            permit_destination;
            @defaultonly refuse_destination_zone;
        }
        const default_action = refuse_destination_zone();
        size = PERMITTED_SIZE;
    }

    apply {
        destination_guard.apply();
    }
}

control BoundaryGuard(in headers_t headers, inout ingress_metadata_t ingress) {
    bit<1> unknown = 0;
    bit<1> crossing = 0;
    zone_id_t beyond = 0;

    // The node at the other end is in the zone of this one.
    @id(INSIDE_ACTION_ID)
    action inside() {
    }

    @id(CROSS_ACTION_ID)
    action cross(@id(1) zone_id_t zone) {
        crossing = 1;
        beyond = zone;
    }

    // It may lead anywhere: nothing with a label goes there, nor anything that does not tell.
    @id(UNKNOWN_BOUNDARY_ACTION_ID)
    action unknown_boundary() {
        unknown = 1;
    }

    @id(BOUNDARIES_TABLE_ID)
    table boundaries {
        key = {
            ingress.egress_port : exact @id(1) @name("port");
        }
        actions = {
            inside;
            cross;
            unknown_boundary;
        }
        // A fabric without zones sets this to `inside`.
        default_action = unknown_boundary();
        size = PORTS_SIZE;
    }

    @id(PERMIT_BOUNDARY_ACTION_ID)
    action permit_boundary() {
    }

    @id(REFUSE_BOUNDARY_ACTION_ID)
    action refuse_boundary() {
        ingress.drop_reason = DROP_BOUNDARY;
    }

    @id(BOUNDARY_GUARD_TABLE_ID)
    table boundary_guard {
        key = {
            ingress.label : exact @id(1) @name("label");
            beyond : exact @id(2) @name("zone");
        }
        actions = {
            permit_boundary;
            @defaultonly refuse_boundary;
        }
        const default_action = refuse_boundary();
        size = PERMITTED_SIZE;
    }

    apply {
        boundaries.apply();
        if (crossing == 1 || unknown == 1) {
            if (ingress.verdict == VERDICT_TRANSIT && !headers.fabric.din.isValid()) {
                ingress.drop_reason = DROP_OPTION;
            } else if (crossing == 1) {
                boundary_guard.apply();
            } else if (ingress.label != 0) {
                refuse_boundary();
            }
        }
    }
}

#endif  // DIN_PRIVACY_P4_
