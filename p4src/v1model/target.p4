// SPDX-License-Identifier: Apache-2.0
// What is true of v1model targets alone.

#ifndef DIN_V1MODEL_TARGET_P4_
#define DIN_V1MODEL_TARGET_P4_

// simple_switch_grpc --cpu-port 510.
const port_id_t CPU_PORT = 510;

// standard_metadata.instance_type, as simple_switch numbers them.
const bit<32> INSTANCE_INGRESS_CLONE = 1;
const bit<32> INSTANCE_EGRESS_CLONE  = 2;
const bit<32> INSTANCE_RECIRCULATED  = 4;

// The clone session of all reports. Its port only has to exist: the clone is recirculated from there.
const bit<32> REPORT_SESSION = 1;

// Field lists: what a clone, and a recirculated report, keep.
const bit<8> MIRROR_FIELDS = 1;
const bit<8> REPORT_FIELDS = 2;

struct metadata_t {
    ingress_metadata_t ingress;
    bridged_metadata_t bridged;
    @field_list(MIRROR_FIELDS)
    mirror_metadata_t  mirror;
    @field_list(REPORT_FIELDS)
    report_metadata_t  report;
    egress_metadata_t  egress;
}

#endif  // DIN_V1MODEL_TARGET_P4_
