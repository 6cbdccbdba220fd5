// SPDX-License-Identifier: Apache-2.0
// How much there is room for. A size is a promise to the controller: that many entries always fit.

#ifndef DIN_SIZES_P4_
#define DIN_SIZES_P4_

// Segments of an SRH that is looked behind.
#define SRH_SEGMENTS 4

// Ports of a switch, by their number; per-port and per-queue state is indexed with it.
#define PORTS_SIZE        512
#define PORT_QUEUES_SIZE  4096   // 512 ports x 8 queues

// Admission.
#define INFRASTRUCTURE_SIZE 256
#define SOURCES_SIZE      65536  // permitted (port, VLAN, source prefix)
#define ADDRESSES_SIZE    8192   // gateway and service addresses that a leaf answers for
#define PUNT_PORTS_SIZE   1024   // 512 ports x 2 kinds of packets for the controller
#define REVERSE_REWRITES_SIZE 4096

// Identity and policy.
#define OPTION_KEYS_SIZE  8192   // (tenant, key, epoch): two epochs of two keys for 2,048 tenants
#define SERVICES_SIZE     16384  // (address, protocol, port)
#define RESPONSES_SIZE    16384  // the same of local instances
#define CLASSIFIER_SIZE   4096
#define WATCHLIST_SIZE    1024
#define OPTION_RESULTS_SIZE 5    // option_result_t
#define PERMITTED_SIZE    4096   // (label, zone)

// Steering.
#define GROUPS_SIZE       4096   // (service, tenant, class, label)
#define STEERING_BUCKETS  1024   // of a group
#define BUCKETS_SIZE      131072 // 128 groups
#define MEMBERS_SIZE      16384  // (group, instance)
#define INSTANCES_SIZE    4096
#define AFFINITY_SIZE     65536  // connections remembered while their bucket moves
#define DESTINATIONS_SIZE 65536  // (tenant, prefix)
#define PATHS_SIZE        16384
#define RESPONSE_PATHS_SIZE 16384
#define FUNCTIONS_SIZE    4096
#define SEGMENTS_SIZE     8192

// Next hops.
#define ROUTES_SIZE       4096
#define ROUTES_MEMBERS_SIZE 4096
#define ROUTES_GROUP_SIZE 64

// Policing.
#define STREAMS_SIZE      35840
#define TENANT_METERS_SIZE 16384

// Telemetry.
#define WATCHED_SIZE      16384  // connections whose tokens are measured
#define FLOW_FILTER_SIZE  65536
#define REPORT_SINKS_SIZE 64     // hw_id is six bits
#define DROP_REASONS_SIZE 256
#define REPORTED_REASONS_SIZE 64
#define DROP_QUOTAS_SIZE  32768  // 512 ports x 64 reasons

#endif  // DIN_SIZES_P4_
