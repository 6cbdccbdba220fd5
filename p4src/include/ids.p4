// SPDX-License-Identifier: Apache-2.0
// Every P4Runtime ID, once. The top byte is P4Runtime's type of object; below it a block of 256 for each file.

#ifndef DIN_IDS_P4_
#define DIN_IDS_P4_

// admission.p4: block 0x01
#define PORTS_TABLE_ID                0x02000101
#define INFRASTRUCTURE_TABLE_ID       0x02000102
#define SET_ACCESS_ACTION_ID          0x01000101
#define SET_FABRIC_ACTION_ID          0x01000102
#define REFUSE_PORT_ACTION_ID         0x01000103
#define REFUSE_DESTINATION_ACTION_ID  0x01000104

// gateway.p4: block 0x02
#define ADDRESSES_TABLE_ID            0x02000201
#define ANSWER_GATEWAY_ACTION_ID      0x01000201
#define ANSWER_SERVICE_ACTION_ID      0x01000202
#define ANSWER_NEIGHBOR_ACTION_ID     0x01000203
#define IGNORE_ADDRESS_ACTION_ID      0x01000204

// sources.p4: block 0x03
#define SOURCES_TABLE_ID              0x02000301
#define REVERSE_REWRITES_TABLE_ID     0x02000302
#define PERMIT_SOURCE_ACTION_ID       0x01000301
#define REFUSE_SOURCE_ACTION_ID       0x01000302
#define RESTORE_SOURCE_ACTION_ID      0x01000303

// host_option.p4: block 0x04
#define OPTION_KEYS_TABLE_ID          0x02000401
#define SET_KEY_ACTION_ID             0x01000401
#define HOST_OPTIONS_COUNTER_ID       0x12000401

// classification.p4: block 0x05
#define SERVICES_TABLE_ID             0x02000501
#define RESPONSES_TABLE_ID            0x02000502
#define CLASSIFIER_TABLE_ID           0x02000503
#define WATCHLIST_TABLE_ID            0x02000504
#define SET_SERVICE_ACTION_ID         0x01000501
#define SET_RESPONSE_ACTION_ID        0x01000502
#define CLASSIFY_ACTION_ID            0x01000503
#define DENY_ACTION_ID                0x01000504
#define WATCH_ACTION_ID               0x01000505

// steering.p4, v1model/affinity.p4: block 0x06
#define GROUPS_TABLE_ID               0x02000601
#define MEMBERS_TABLE_ID              0x02000602
#define BUCKETS_TABLE_ID              0x02000603
#define LIVENESS_TABLE_ID             0x02000604
#define AFFINITY_TIMEOUTS_TABLE_ID    0x02000605
#define SET_GROUP_ACTION_ID           0x01000601
#define NO_GROUP_ACTION_ID            0x01000602
#define HONOUR_COOKIE_ACTION_ID       0x01000603
#define SET_BUCKET_ACTION_ID          0x01000604
#define FORGET_ACTION_ID              0x01000605
#define SET_AFFINITY_TIMEOUTS_ACTION_ID 0x01000606
#define AFFINITY_REGISTER_ID          0x16000601
#define AFFINITY_STARTS_COUNTER_ID    0x12000601

// destinations.p4: block 0x07
#define DESTINATIONS_TABLE_ID         0x02000701
#define TO_LEAF_ACTION_ID             0x01000701
#define TO_FUNCTION_ACTION_ID         0x01000702
#define NO_DESTINATION_ACTION_ID      0x01000703

// paths.p4: block 0x08
#define RESPONSE_PATHS_TABLE_ID       0x02000801
#define PATHS_TABLE_ID                0x02000802
#define VIA_ACTION_ID                 0x01000801
#define LOCAL_ACTION_ID               0x01000802
#define NO_PATH_ACTION_ID             0x01000803

// privacy.p4: block 0x09
#define DESTINATION_GUARD_TABLE_ID    0x02000901
#define BOUNDARIES_TABLE_ID           0x02000902
#define BOUNDARY_GUARD_TABLE_ID       0x02000903
#define PERMIT_DESTINATION_ACTION_ID  0x01000901
#define REFUSE_DESTINATION_ZONE_ACTION_ID 0x01000902
#define INSIDE_ACTION_ID              0x01000903
#define CROSS_ACTION_ID               0x01000904
#define UNKNOWN_BOUNDARY_ACTION_ID    0x01000905
#define PERMIT_BOUNDARY_ACTION_ID     0x01000906
#define REFUSE_BOUNDARY_ACTION_ID     0x01000907

// srv6.p4: block 0x0a
#define SEGMENTS_TABLE_ID             0x02000a01
#define END_ACTION_ID                 0x01000a01
#define END_FUNCTION_ACTION_ID        0x01000a02
#define PASS_ACTION_ID                0x01000a03
#define END_LOOKUP_ACTION_ID          0x01000a04

// delivery.p4: block 0x0b
#define FUNCTIONS_TABLE_ID            0x02000b01
#define DELIVER_ACTION_ID             0x01000b01
#define DELIVER_REWRITTEN_ACTION_ID   0x01000b02
#define REFUSE_FUNCTION_ACTION_ID     0x01000b03

// v1model/next_hops.p4: block 0x0c
#define ROUTES_TABLE_ID               0x02000c01
#define PROTECTION_TABLE_ID           0x02000c02
#define SET_NEXT_HOP_ACTION_ID        0x01000c01
#define KEEP_ACTION_ID                0x01000c02
#define DETOUR_ACTION_ID              0x01000c03
#define NO_NEXT_HOP_ACTION_ID         0x01000c04
#define ROUTES_SELECTOR_ID            0x11000c01
#define PROTECTION_SELECTOR_ID        0x11000c02

// v1model/police.p4: block 0x0d
#define STREAMS_TABLE_ID              0x02000d01
#define TENANT_METERS_TABLE_ID        0x02000d02
#define SET_POLICER_ACTION_ID         0x01000d01
#define POLICERS_REGISTER_ID          0x16000d01

// queueing.p4: block 0x0e
#define CLASSES_TABLE_ID              0x02000e01
#define SLACK_QUEUES_TABLE_ID         0x02000e02
#define SET_QUEUE_ACTION_ID           0x01000e01
#define SCHEDULE_ACTION_ID            0x01000e02
#define MAP_SLACK_ACTION_ID           0x01000e03
#define SET_SLACK_QUEUE_ACTION_ID     0x01000e04
#define SP_PIFO_REGISTER_ID           0x16000e01
#define ENQUEUED_COUNTER_ID           0x12000e01
#define DEQUEUED_COUNTER_ID           0x12000e02

// encapsulation.p4, node: block 0x0f
#define CLOCK_TABLE_ID                0x02000f01
#define SET_CLOCK_ACTION_ID           0x01000f01

// int.p4: block 0x10
#define LINKS_TABLE_ID                0x02001001
#define ARRIVALS_TABLE_ID             0x02001002
#define BUDGETS_TABLE_ID              0x02001003
#define SET_LINK_ACTION_ID            0x01001001
#define SET_ARRIVAL_ACTION_ID         0x01001002
#define SET_BUDGET_ACTION_ID          0x01001003

// reports.p4: block 0x11
#define DROP_REPORTS_TABLE_ID         0x02001101
#define LATE_DROP_REPORTS_TABLE_ID    0x02001102
#define QUEUE_THRESHOLDS_TABLE_ID     0x02001103
#define FLOW_FILTER_TABLE_ID          0x02001104
#define REPORT_SINKS_TABLE_ID         0x02001105
#define REPORT_DROPS_ACTION_ID        0x01001101
#define REPORT_LATE_DROPS_ACTION_ID   0x01001102
#define SET_THRESHOLDS_ACTION_ID      0x01001103
#define SET_FLOW_FILTER_ACTION_ID     0x01001104
#define TO_COLLECTOR_ACTION_ID        0x01001105
#define DROP_QUOTAS_REGISTER_ID       0x16001101
#define LATE_DROP_QUOTAS_REGISTER_ID  0x16001102
#define QUEUE_QUOTAS_REGISTER_ID      0x16001103
#define REPORT_SEQUENCE_REGISTER_ID   0x16001104
#define FLOW_FILTER_A_REGISTER_ID     0x16001105
#define FLOW_FILTER_B_REGISTER_ID     0x16001106

// tokens.p4: block 0x12
#define GAP_BINS_TABLE_ID             0x02001201
#define SET_GAP_BIN_ACTION_ID         0x01001201
#define CONNECTION_OWNER_REGISTER_ID  0x16001201
#define CONNECTION_PHASE_REGISTER_ID  0x16001202
#define REQUEST_TIME_REGISTER_ID      0x16001203
#define HEADERS_TIME_REGISTER_ID      0x16001204
#define FIRST_TOKEN_TIME_REGISTER_ID  0x16001205
#define SEGMENT_TIME_REGISTER_ID      0x16001206
#define SEGMENTS_REGISTER_ID          0x16001207
#define GAP_SUM_REGISTER_ID           0x16001208
#define GAP_MAX_REGISTER_ID           0x16001209
#define GAPS_REGISTER_ID              0x1600120a

// rewrite.p4: block 0x13

// v1model/connections.p4: block 0x14
#define CONNECTIONS_COUNTER_ID        0x12001401

// v1model/verdict.p4: block 0x15
#define DROPS_COUNTER_ID              0x12001501
#define EGRESS_DROPS_COUNTER_ID       0x12001502

// v1model/punt.p4: block 0x16
#define PUNT_PORTS_METER_ID           0x14001601
#define PUNT_SWITCH_METER_ID          0x14001602

#endif  // DIN_IDS_P4_
