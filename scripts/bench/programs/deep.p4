// SPDX-License-Identifier: Apache-2.0
//
// A leaf switch as deep as ONOS's fabric.p4: 28 tables of ingress and 13 of egress, every one of which a routed
// IPv4 packet passes.
//
//   filtering    port_properties, port_vlan, source_guard, classifier, tunnel_termination, tenants         6
//   forwarding   bridging, source_routes, routes (or mpls, or routes6)                                     3
//   qos          trust, applications, slices, <meter>, colours, queues                                     5
//   acl          services, acl, groups, watchlist, mirrors                                                 5
//   next         <hash> next_vlan, cross_connect, simple, hashed, replicated, labels, tunnels,             7
//                ports, flow_cache                                                                         2
//   egress       port_properties, vlans, sources, <ttl> labels, tunnels, acl, marking, telemetry, depths,
//                latencies, reports, classes, storms, <mtu>                                               13
//
// deep.yaml fills it.

#include <core.p4>
#include <v1model.p4>

#include "deep/headers.p4"
#include "deep/parser.p4"
#include "deep/ingress.p4"
#include "deep/egress.p4"

V1Switch(DeepParser(), DeepVerify(), DeepIngress(), DeepEgress(), DeepUpdate(), DeepDeparser()) main;
