# SPDX-License-Identifier: Apache-2.0
"""Each thing that can be wrong between the parts of a model is told, at its field, with what is right."""

from __future__ import annotations

from typing import Any

import pytest
from din.model.check import check
from din.model.ids import assign
from din.model.problem import ModelError, Severity
from din.model.wiring import Wiring
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.model.edits import GONE, fields, model

LEAF_F = {"name": "leaf-f", "site": "hq", "role": "leaf", "gateways": ["10.9.0.1/24"]}
REWRITING = {
    "services[2].addresses": ["10.100.0.3"],
    "hosts[10].addresses": ["10.3.0.12/24"],
    "instances[7].rewrite": True,
}
PHASES = "emulation.comparison.phases"
LOADS = "emulation.comparison.loads"

#: What is edited, the field that is told, and a part of what is said.
ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    # Names.
    "zone twice": ({"zones[1].name": "enterprise"}, "zones[1].name", "zones[0] has it, too"),
    "switch twice": ({"switches[6].name": "wan-1"}, "switches[6].name", "given twice"),
    "host twice": ({"hosts[1].name": "client-a"}, "hosts[1].name", "given twice"),
    "variant twice": (
        {"models[0].variants[1].name": "llama-8b"},
        "models[0].variants[1].name",
        "given twice",
    ),
    "arm twice": (
        {"emulation.comparison.arms[1].name": "equal"},
        "emulation.comparison.arms[1].name",
        "twice",
    ),
    "phase twice": ({f"{PHASES}[1].name": "calm"}, f"{PHASES}[1].name", "twice"),
    "key twice": ({"tenants[0].keys[+]": {"id": 1, "source": "env:X"}}, "tenants[0].keys[1].id", "twice"),
    "host and switch": ({"hosts[4].name": "wan-1"}, "hosts[4].name", "a switch's name"),
    "public": ({"labels[+]": {"name": "public", "zones": ["cloud"]}}, "labels[1].name", "has no label"),
    "too many zones": (
        {"zones": [{"name": f"z{n}"} for n in range(256)]},
        "zones",
        "room for 255",
    ),
    "64 collectors": (
        {"telemetry.collectors": [{"name": f"c{n}", "host": "collector"} for n in range(64)]},
        "telemetry.collectors",
        "room for 63",
    ),
    # References.
    "site's zone": ({"sites[0].zone": "enterprize"}, "sites[0].zone", "did you mean enterprise?"),
    "switch's site": ({"switches[0].site": "branch-c"}, "switches[0].site", "did you mean branch-"),
    "link's end": ({"links[0].between": ["leaf-a", "wan-9"]}, "links[0].between[1]", "no switch wan-9"),
    "host's leaf": ({"hosts[0].leaf": "leaf-x"}, "hosts[0].leaf", "no leaf leaf-x"),
    "host at a transit node": ({"hosts[0].leaf": "wan-1"}, "hosts[0].leaf", "wan-1 is a transit node"),
    "host's tenant": ({"hosts[0].tenant": "acne"}, "hosts[0].tenant", "did you mean acme?"),
    "host's label": ({"hosts[2].label": "secret"}, "hosts[2].label", "no label secret"),
    "label's zone": ({"labels[0].zones": ["moon"]}, "labels[0].zones[0]", "no zone moon"),
    "service's tenant": ({"services[0].tenant": "x"}, "services[0].tenant", "no tenant x"),
    "service's client": ({"services[0].clients": ["x"]}, "services[0].clients[0]", "no tenant x"),
    "service's model": ({"services[0].model": "llama-2"}, "services[0].model", "did you mean llama-3?"),
    "service's variant": ({"services[1].variant": "llama-9b"}, "services[1].variant", "variant of llama-3"),
    "service's label": ({"services[0].labels": ["x"]}, "services[0].labels[0]", "no label x"),
    "instance's service": ({"instances[0].service": "chart"}, "instances[0].service", "did you mean chat?"),
    "instance's host": ({"instances[0].host": "gpu-9"}, "instances[0].host", "no host gpu-9"),
    "instance's variant": ({"instances[0].variant": "x"}, "instances[0].variant", "variant of llama-3"),
    "instance's profile": ({"instances[0].profile": "x"}, "instances[0].profile", "no profile"),
    "policy's service": ({"policies[0].service": "x"}, "policies[0].service", "no service x"),
    "policy's tenant": ({"policies[0].tenant": "x"}, "policies[0].tenant", "no tenant x"),
    "policy's label": ({"policies[0].label": "x"}, "policies[0].label", "no label x"),
    "policy's zone": ({"policies[0].zones": ["x", "cloud"]}, "policies[0].zones[0]", "no zone x"),
    "demand's site": ({"demand[0].site": "x"}, "demand[0].site", "no site x"),
    "demand's service": ({"demand[0].service": "x"}, "demand[0].service", "no service x"),
    "demand's tenant": ({"demand[0].tenant": "x"}, "demand[0].tenant", "no tenant x"),
    "demand's label": ({"demand[0].label": "x"}, "demand[0].label", "no label x"),
    "watch's service": ({"telemetry.watch[0].service": "x"}, "telemetry.watch[0].service", "no service x"),
    "watch's tenant": ({"telemetry.watch[0].tenant": "x"}, "telemetry.watch[0].tenant", "no tenant x"),
    "watch's label": ({"telemetry.watch[0].label": "x"}, "telemetry.watch[0].label", "no label x"),
    "collector's host": ({"telemetry.collectors[0].host": "x"}, "telemetry.collectors[0].host", "no host x"),
    "collector's label": (
        {"telemetry.collectors[0].labels": ["x"]},
        "telemetry.collectors[0].labels[0]",
        "no label x",
    ),
    "load's site": ({f"{LOADS}[0].site": "x"}, f"{LOADS}[0].site", "no site x"),
    "load's service": ({f"{LOADS}[0].service": "x"}, f"{LOADS}[0].service", "no service x"),
    "load's host": ({f"{LOADS}[0].host": "x"}, f"{LOADS}[0].host", "no host x"),
    "event's link": (
        {f"{PHASES}[3].events[0].link": ["leaf-b", "wan-1"]},
        f"{PHASES}[3].events[0].link",
        "from leaf-b: wan-2, wan-3",
    ),
    "event's switch": (
        {f"{PHASES}[3].events[0].link": ["leaf-b", "wan-9"]},
        f"{PHASES}[3].events[0].link[1]",
        "no switch wan-9",
    ),
    "event's instance": (
        {f"{PHASES}[2].events[0].instance": "x"},
        f"{PHASES}[2].events[0].instance",
        "no instance x",
    ),
    "event's source": (
        {f"{PHASES}[1].events[0].source": "x"},
        f"{PHASES}[1].events[0].source",
        "no host x",
    ),
    "event's sink": ({f"{PHASES}[1].events[0].sink": "x"}, f"{PHASES}[1].events[0].sink", "no host x"),
    "event without": (
        {f"{PHASES}[1].events[0].rate": GONE},
        f"{PHASES}[1].events[0].rate",
        "a congested-link has link, rate, source, sink",
    ),
    "event with too much": (
        {f"{PHASES}[3].events[0].rate": "1Mbit"},
        f"{PHASES}[3].events[0].rate",
        "means nothing to a failed-link",
    ),
    # Switches, ports, paths.
    "no leaf": (
        {f"switches[{n}].role": "transit" for n in range(5)},
        "switches",
        "none is a leaf",
    ),
    "transit with gateways": ({"switches[5].gateways": ["10.9.0.1/24"]}, "switches[5].gateways", "no hosts"),
    "tofino without address": ({"switches[0].target": "tofino"}, "switches[0].address", "as in 10."),
    "one server for two": (
        {"switches[0].address": "127.0.0.1:9559", "switches[1].address": "127.0.0.1:9559"},
        "switches[1].address",
        "is leaf-a",
    ),
    "to itself": ({"links[0].between": ["wan-1:9", "wan-1"]}, "links[0].between", "from wan-1 to itself"),
    "port of two links": (
        {"links[0].between": ["leaf-a:7", "wan-1"], "links[1].between": ["leaf-a:7", "wan-2"]},
        "links[1].between[0]",
        "port 7 of leaf-a is taken by links[0]",
    ),
    "the CPU's port": ({"links[0].between": ["leaf-a:510", "wan-1"]}, "links[0].between[0]", "1 to 509"),
    "port 0": ({"links[0].between": ["leaf-a:0", "wan-1"]}, "links[0].between[0]", "no port 0"),
    "port of link and host": (
        {"links[0].between": ["leaf-a:7", "wan-1"], "hosts[0].port": 7},
        "hosts[0].port",
        "taken by links[0]",
    ),
    "port of two hosts": (
        {"hosts[0].port": 7, "hosts[2].port": 7},
        "hosts[2].port",
        "port 7 of leaf-a has client-a, in VLAN 0 as well",
    ),
    "too many ports": (
        {
            "hosts": [
                {"name": f"h{n}", "leaf": "leaf-a", "tenant": "acme", "addresses": [f"10.1.{n % 99}.9/16"]}
                for n in range(508)
            ]
        },
        "switches[0]",
        "510 links and hosts",
    ),
    "a leaf alone": ({"switches[+]": LEAF_F}, "switches[8]", "no path from leaf-a to leaf-f"),
    "a path too long": (
        {
            "switches[+]": LEAF_F,
            "switches": [
                {"name": f"n{n}", "site": "hq", "role": "leaf" if n in (0, 6) else "transit"}
                for n in range(7)
            ],
            "links": [{"between": [f"n{n}", f"n{n + 1}"], "rate": "1Mbit", "delay": "1ms"} for n in range(6)],
        },
        "switches[6]",
        "6 hops from n0 to n6",
    ),
    "a delay of no path": (
        {"links[0].delay": "15min"},
        "links[0].delay",
        "a delay of 15 min; at most 14.3 min",
    ),
    # MTU.
    "fabric's MTU": ({"fabric.mtu": "1363B"}, "fabric.mtu", "from 1364 B"),
    "link's MTU": ({"links[3].mtu": "1363B"}, "links[3].mtu", "from 1364 B"),
    "no MTU": ({"links[3].mtu": 0}, "links[3].mtu", "an MTU of 0 B"),
    "too large an MTU": ({"links[3].mtu": "70kB"}, "links[3].mtu", "to 65535 B"),
    "access MTU": ({"fabric.access_mtu": "1279B"}, "fabric.access_mtu", "from 1280 B"),
    "host's MTU": ({"hosts[0].mtu": "600B"}, "hosts[0].mtu", "from 1280 B"),
    # Addresses.
    "no host's gateway": ({"switches[0].gateways[0]": "10.1.0.0/24"}, "switches[0].gateways[0]", "no host's"),
    "gateway alone": ({"switches[0].gateways[0]": "10.1.0.1/32"}, "switches[0].gateways[0]", "no room"),
    "gateway in management": (
        {"management.network": "10.1.0.0/16"},
        "switches[0].gateways[0]",
        "overlaps management.network",
    ),
    "gateways overlap": (
        {"switches[0].gateways[+]": "10.1.0.2/25"},
        "switches[0].gateways[2]",
        "10.1.0.0/25 overlaps 10.1.0.0/24",
    ),
    "another leaf's network": (
        {"switches[1].gateways[0]": "10.1.128.1/16", "hosts[1].addresses[0]": "10.1.128.10/16"},
        "switches[1].gateways[0]",
        "10.1.0.0/16 overlaps 10.1.0.0/24 of leaf-a",
    ),
    "fragments of two services": (
        {
            "services[0].affinity": "client",
            "services[1].affinity": "client",
            "services[1].addresses[0]": "10.100.0.1",
            "services[1].port": 8001,
        },
        "services[1].addresses[0]",
        "chat has affinity: client at 10.100.0.1, too",
    ),
    "report sources in management": (
        {"fabric.report_sources": "172.30.0.0/25"},
        "management.network",
        "overlaps fabric.report_sources",
    ),
    "management too small": ({"management.network": "172.30.0.0/28"}, "management.network", "16 addresses"),
    "report sources too small": (
        {"fabric.report_sources": "192.0.2.0/29"},
        "fabric.report_sources",
        "8 switches, and 192.0.2.0/29 has 6 addresses",
    ),
    "no report sources": ({"fabric.report_sources": "192.0.2.0/32"}, "fabric.report_sources", "has 0"),
    "host elsewhere": (
        {"hosts[0].addresses[0]": "10.9.0.10/24"},
        "hosts[0].addresses[0]",
        "its gateways have 10.1.0.0/24, 2001:db8:1::/64",
    ),
    "host without gateways": ({"switches[0].gateways": []}, "hosts[0].addresses[0]", "have none"),
    "host's prefix": ({"hosts[0].addresses[0]": "10.1.0.10/16"}, "hosts[0].addresses[0]", "10.1.0.10/24"),
    "broadcast": ({"hosts[0].addresses[0]": "10.1.0.255/24"}, "hosts[0].addresses[0]", "no host's address"),
    "gateway's address": ({"hosts[0].addresses[0]": "10.1.0.1/24"}, "hosts[0].addresses[0]", "leaf-a, too"),
    "other's address": ({"hosts[2].addresses[0]": "10.1.0.10/24"}, "hosts[2].addresses[0]", "client-a, too"),
    "address twice": ({"hosts[0].addresses[1]": "10.1.0.10/24"}, "hosts[0].addresses[1]", "given twice"),
    "option without a key": ({"hosts[9].option_required": True}, "hosts[9].option_required", "has no key"),
    "multicast MAC": ({"hosts[0].mac": "01:00:5e:00:00:01"}, "hosts[0].mac", "no station's"),
    "MAC twice": (
        {"hosts[0].mac": "02:00:00:00:00:01", "hosts[1].mac": "02:00:00:00:00:01"},
        "hosts[1].mac",
        "client-a's, too",
    ),
    "SID block": ({"services[0].addresses[1]": "fcbb:bb00:1::1"}, "services[0].addresses[1]", "segment"),
    "IPv4-mapped": (
        {"services[0].addresses[1]": "::ffff:10.0.0.1"},
        "services[0].addresses[1]",
        "IPv4-mapped",
    ),
    "multicast": ({"services[0].addresses[0]": "224.0.0.9"}, "services[0].addresses[0]", "multicast"),
    "IPv6 multicast": ({"services[0].addresses[1]": "ff0e::1"}, "services[0].addresses[1]", "multicast"),
    "link-local": ({"services[0].addresses[0]": "169.254.1.1"}, "services[0].addresses[0]", "link-local"),
    "IPv6 link-local": ({"services[0].addresses[1]": "fe80::1"}, "services[0].addresses[1]", "link-local"),
    "loopback": ({"services[0].addresses[0]": "127.0.0.1"}, "services[0].addresses[0]", "loopback"),
    "unspecified": ({"services[0].addresses[1]": "::"}, "services[0].addresses[1]", "unspecified"),
    "this network": ({"services[0].addresses[0]": "0.0.0.7"}, "services[0].addresses[0]", "this network"),
    "scope": ({"services[0].addresses[1]": "2001:db8::1%eth0"}, "services[0].addresses[1]", "has a scope"),
    "service within a subnet": (
        {"services[0].addresses[0]": "10.4.0.99"},
        "services[0].addresses[0]",
        "a network of leaf-edge",
    ),
    "service within the management network": (
        {"services[0].addresses[0]": "172.30.0.9"},
        "services[0].addresses[0]",
        "management.network",
    ),
    "service within an IPv6 subnet": (
        {"services[0].addresses[1]": "2001:db8:4::99"},
        "services[0].addresses[1]",
        "a network of leaf-edge",
    ),
    "service's address a host's": (
        {"services[0].addresses[0]": "10.1.0.10"},
        "services[0].addresses[0]",
        "is client-a's",
    ),
    "services on one address": (
        {"services[1].addresses[0]": "10.100.0.1"},
        "services[1].addresses[0]",
        "port 8000 is chat's, too",
    ),
    "service's address twice": (
        {"services[0].addresses": ["10.100.0.1", "10.100.0.1"]},
        "services[0].addresses[1]",
        "given twice",
    ),
    "instance without IPv6": (
        {"hosts[5].addresses": ["10.4.0.11/24"]},
        "instances[0].host",
        "chat has an IPv6 address, and gpu-edge-1 has none",
    ),
    "rewrite of two addresses": ({"instances[7].rewrite": True}, "instances[7].rewrite", "one address each"),
    # Services.
    "name with a hyphen": ({"services[0].dns": "-chat.example"}, "services[0].dns", "hyphen"),
    "long name": ({"services[0].dns": "c" * 64 + ".example"}, "services[0].dns", "63 characters"),
    "name twice": ({"services[1].dns": "chat.din.example"}, "services[1].dns", "is chat, too"),
    "served model": ({"services[0].served_model": " "}, "services[0].served_model", "empty"),
    "nobody serves": (
        {"services[2].name": "notes", "policies": []},
        "services[2]",
        "one with service: notes",
    ),
    "prefill alone": (
        {"instances[7].role": "prefill", "instances[8].role": "prefill"},
        "services[2]",
        "role: decode",
    ),
    "decode alone": (
        {"instances[7].role": "decode", "instances[8].role": "decode"},
        "services[2]",
        "role: prefill",
    ),
    "no URL": ({"instances[0].metrics": "gpu-1:8000/metrics"}, "instances[0].metrics", "as in http://"),
    "another placeholder": ({"instances[0].health": "http://{host}/"}, "instances[0].health", "not the URL"),
    "no port": ({"instances[0].models": "http://{management}:x/"}, "instances[0].models", "not the URL"),
    "two servers on a port": (
        {"instances[5].host": "gpu-edge-1"},
        "instances[5].host",
        "chat-edge listens at port 8000 of gpu-edge-1",
    ),
    "twice on a host": ({"instances[5].host": "gpu-edge-2"}, "instances[5].host", "already, by assist-1"),
    "other's host": ({"instances[8].host": "gpu-hq-1"}, "instances[8].host", "is tokenworks's"),
    "rewritten twice": (
        {
            **REWRITING,
            "services[+]": {
                "name": "notes",
                "tenant": "acme",
                "addresses": ["10.100.0.9"],
                "dns": "notes.din.example",
                "model": "llama-3",
                "served_model": "x",
                "slo": {"ttft": "1s", "tpot": "1s"},
            },
            "instances[+]": {
                "name": "notes-hq",
                "service": "notes",
                "host": "gpu-hq-2",
                "variant": "llama-8b",
                "profile": "small-8b",
                "rewrite": True,
            },
        },
        "instances[9].rewrite",
        "records-hq on gpu-hq-2 answers from port 8000 as well",
    ),
    "features": (
        {"models[0].variants[1].features": []},
        "instances[2].variant",
        "llama-70b cannot stand in: chat needs tools",
    ),
    "context": ({"services[0].min_context": 9000}, "instances[0].variant", "chat needs 9000"),
    "another variant": (
        {"instances[4].variant": "llama-70b"},
        "instances[4].variant",
        "assist is llama-8b alone, and this is llama-70b",
    ),
    "two variants, no choice": (
        {"services[0].choose_variant": False},
        "instances[2].variant",
        "chat is llama-8b alone",
    ),
    # Clients.
    "foreign client": ({"services[0].clients": []}, f"{LOADS}[0].host", "acme may not use chat"),
    "foreign demand": ({"services[0].clients": []}, "demand[0].tenant", "acme may not use chat"),
    "label not taken": ({"services[2].labels": []}, f"{LOADS}[6].host", "no requests labelled private"),
    "demand's label not taken": ({"services[2].labels": []}, "demand[5].label", "add it to the labels of"),
    "no leaf at the site": ({"demand[0].site": "wan"}, "demand[0].site", "no leaf is at wan"),
    "asks itself": (
        {f"{LOADS}[6].host": "gpu-b-1", f"{LOADS}[6].site": "branch-b"},
        f"{LOADS}[6].host",
        "never leave it",
    ),
    "demand asks itself": (
        {
            "demand[+]": {"site": "metro", "service": "assist", "requests_per_second": 1},
            "hosts[5].tenant": "acme",
        },
        "demand[6].site",
        "gpu-edge-2, gpu-edge-3, gpu-edge-4 asks assist",
    ),
    "another site's host": ({f"{LOADS}[0].site": "branch-b"}, f"{LOADS}[0].host", "is at branch-a"),
    "no common family": (
        {"hosts[0].addresses": ["2001:db8:1::10/64"], "services[0].addresses": ["10.100.0.1"]},
        f"{LOADS}[0].host",
        "no address of the kind",
    ),
    # Policies and labels.
    "label excludes all": (
        {"labels[0].zones": ["carrier"]},
        "services[0].labels[0]",
        "no instance of chat is in a zone that private permits",
    ),
    "quality": ({"policies[0].quality_floor": 0.95}, "policies[0].quality_floor", "no instance of chat"),
    "cost": ({"policies[0].cost_ceiling": 0.1}, "policies[0].cost_ceiling", "costs 0.1 or less"),
    "prefill does not answer": (
        {
            "instances[7].role": "prefill",
            "instances[8].role": "decode",
            "instances[8].variant": "llama-70b",
            "policies[+]": {"service": "records", "cost_ceiling": 0.5},
            "services[2].choose_variant": True,
            "services[2].variant": GONE,
        },
        "policies[2].cost_ceiling",
        "no instance of records costs 0.5 or less",
    ),
    "policy's zones": ({"policies[1].zones": ["cloud"]}, "policies[1].zones", "no instance of assist"),
    "latency budget": (
        {"policies[1].latency_budget": "7999us"},
        "policies[1].latency_budget",
        "no instance of assist is within 8 ms of branch-a, there and back; the nearest one takes 8 ms",
    ),
    "labelled demand where it may not be": (
        {"demand[+]": {"site": "metro", "service": "chat", "label": "private", "requests_per_second": 1}},
        "demand[6].label",
        "metro is in metro, where private may not be",
    ),
    "all together": (
        {"policies[0].quality_floor": 0.8},
        "policies[0].quality_floor",
        "nobody may answer chat for tokenworks, labelled private",
    ),
    "policy about no request": (
        {"policies[1].label": "private"},
        "policies[1].label",
        "assist takes no requests labelled private",
    ),
    "policy about no tenant": (
        {"policies[+]": {"service": "records", "tenant": "tokenworks"}},
        "policies[2].tenant",
        "may not use records",
    ),
    "label where it may not be": (
        {"labels[0].zones": ["carrier", "metro"]},
        "hosts[2].label",
        "ward-a is in enterprise, where private may not be",
    ),
    "no encrypted path": (
        {"links[0].encrypted": False, "links[1].encrypted": False},
        "hosts[2].label",
        "no path of encrypted links within enterprise, carrier leads to an instance of chat",
    ),
    "no path within zones": ({"labels[0].zones": ["enterprise"]}, "hosts[2].label", "no path of"),
    # Telemetry.
    "INT too deep": ({"telemetry.watch[0].hops": 8}, "telemetry.watch[0].hops", "7 do"),
    "INT too large": (
        {"links[4].mtu": "1491B"},
        "telemetry.watch[0].hops",
        "7 hops does not fit into the 1491 B of leaf-hq to wan-1; 6 hops do, or 1492 B",
    ),
    "collector in IPv6": (
        {"hosts[14].addresses": ["2001:db8:3::30/64"]},
        "telemetry.collectors[0].host",
        "no IPv4 address",
    ),
    "collector where it may not": (
        {"hosts[14].leaf": "leaf-dc", "hosts[14].addresses": ["10.5.0.30/24"]},
        "telemetry.collectors[0].labels[0]",
        "collector is in cloud, where private may not be",
    ),
    # Emulation.
    "no profile": ({"instances[0].profile": GONE}, "instances[0].profile", "small-8b, small-70b"),
    "median": ({f"{LOADS}[0].prompt.median": 2000}, f"{LOADS}[0].prompt.median", "more than the largest"),
    "too long for the server": (
        {"emulation.profiles[0].kv_blocks": 10},
        f"{LOADS}[0]",
        "tokens does not fit into the 160 of small-8b",
    ),
    "too long for the model": (
        {f"{LOADS}[0].prompt.largest": 9000},
        f"{LOADS}[0]",
        "context of llama-8b",
    ),
    "foreign sink": (
        {f"{PHASES}[1].events[0].sink": "gpu-hq-1"},
        f"{PHASES}[1].events[0].sink",
        "cannot talk",
    ),
    "sink of another kind": (
        {"hosts[3].addresses": ["10.1.0.20/24"], "hosts[4].addresses": ["2001:db8:3::20/64"]},
        f"{PHASES}[1].events[0].sink",
        "no kind of address in common",
    ),
    "admitted class": (
        {f"{PHASES}[1].events[0].traffic_class": "deterministic"},
        f"{PHASES}[1].events[0].traffic_class",
        "admitted, not claimed",
    ),
}

WARNINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "one page of two servers": (
        {
            "services[1].port": 8001,
            "instances[5].host": "gpu-edge-1",
            "instances[5].metrics": "http://{management}:8000/metrics",
        },
        "instances[5].metrics",
        "chat-edge on gpu-edge-1 is measured by the same page",
    ),
    "MSS": ({"fabric.mtu": "1583B"}, "fabric.mtu", "1584 B take them whole"),
    "MSS of a link": ({"links[3].mtu": "1500B"}, "links[3].mtu", "MSS is clamped"),
    "MSS of jumbo hosts": ({"hosts[0].mtu": "9000B"}, "fabric.mtu", "9084 B"),
    "transit to nowhere": (
        {"switches[+]": {"name": "wan-4", "site": "wan", "role": "transit"}},
        "switches[8]",
        "leads nowhere",
    ),
    "variant and choice": ({"services[0].variant": "llama-8b"}, "services[0].variant", "means nothing"),
    "option over IPv4": ({"hosts[0].option_required": True}, "hosts[0].option_required", "IPv4 has no"),
    "no tokenizer": ({"models[0].tokenizer": GONE}, "services[0].choose_variant", "tokenizer"),
    "INT of few hops": ({"telemetry.watch[0].hops": 1}, "telemetry.watch[0].hops", "up to 2 nodes"),
    "nobody collects": ({"telemetry.collectors": []}, "telemetry.watch", "nobody gets the reports"),
    "nobody collects private": (
        {"telemetry.watch[0].label": "private", "telemetry.collectors[0].labels": []},
        "telemetry.watch[0].label",
        "no collector gets reports about private",
    ),
    "too much load": (
        {f"{LOADS}[4].requests_per_second": 100},
        f"{LOADS}[5].requests_per_second",
        "queues will grow",
    ),
    "too much load for what is scaled": (
        {"emulation.scale.rate": 0.1},
        f"{LOADS}[5].requests_per_second",
        "tokens/s are asked of assist, whose instances make 130",
    ),
    "congests another link": (
        {f"{PHASES}[1].events[0].link": ["leaf-a", "wan-2"]},
        f"{PHASES}[1].events[0].link",
        "is leaf-hq > wan-1 > leaf-a",
    ),
    "cuts off": (
        {"links[3]": GONE, f"{PHASES}[3].events[0].link": ["leaf-b", "wan-2"]},
        f"{PHASES}[3].events[0].link",
        "falls apart",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    edits, field, text = ERRORS[name]
    found = [str(problem) for problem in check(model(edits)) if problem.severity is Severity.ERROR]
    assert [line for line in found if line.startswith(f"{field}: ") and text in line], found


@pytest.mark.parametrize("name", WARNINGS)
def test_warning(name: str) -> None:
    edits, field, text = WARNINGS[name]
    found = check(model(edits))
    assert [str(problem) for problem in found if problem.severity is Severity.ERROR] == []
    assert [each for each in found if each.field == field and text in str(each)], found


@pytest.mark.parametrize("name", ERRORS | WARNINGS)
def test_every_problem_says_what_would_be_right(name: str) -> None:
    edits, _, _ = (ERRORS | WARNINGS)[name]
    for problem in check(model(edits)):
        assert problem.hint, problem


#: Edits that are as right as what they replace.
RIGHT: dict[str, dict[str, Any]] = {
    "a port, two VLANs": {"hosts[0].port": 7, "hosts[0].vlan": 1, "hosts[2].port": 7, "hosts[2].vlan": 2},
    "a budget of whoever else": {"policies[+]": {"tenant": "tokenworks", "latency_budget": "1us"}},
    "a budget of what is labelled otherwise": {
        "policies[+]": {"service": "assist", "label": "public", "latency_budget": "60ms"},
        "policies[1].latency_budget": GONE,
    },
    "affinity of one of two": {
        "services[0].affinity": "client",
        "services[1].addresses[0]": "10.100.0.1",
        "services[1].port": 8001,
    },
    "an address, two ports": {"services[1].addresses[0]": "10.100.0.1", "services[1].port": 8001},
    "public demand": {"demand[0].label": "public"},
    "a rewritten instance": REWRITING,
    "7 hops in 1492 B": {"links[4].mtu": "1584B", "fabric.access_mtu": "1500B"},
    "two servers on a host": {"services[1].port": 8001, "instances[5].host": "gpu-edge-1"},
    "other URLs": {
        "instances[0].metrics": "https://[2001:db8::1]:8443/m",
        "instances[1].health": "http://gpu/",
    },
    "an option over IPv6": {"hosts[0].option_required": True, "hosts[0].addresses": ["2001:db8:1::10/64"]},
    "no INT, tokens alone": {"telemetry.watch[0].hops": 0},
    "parallel links, one fails": {
        "links[+]": {"between": ["leaf-b", "wan-2"], "rate": "10Mbit", "delay": "9ms"},
        "links[3].between": ["leaf-b", "wan-1"],
    },
    "prefill and decode": {"instances[7].role": "prefill", "instances[8].role": "decode"},
    "another label's policy": {"policies[0].label": "public", "policies[0].quality_floor": 0.8},
    "no emulation": {"emulation": GONE, **{f"instances[{n}].profile": GONE for n in range(9)}},
    "63 collectors": {"telemetry.collectors": [{"name": f"c{n}", "host": "collector"} for n in range(63)]},
    "a host among instances asks": {
        "demand[+]": {"site": "metro", "service": "chat", "requests_per_second": 1}
    },
}


NAMES = [
    "chat",
    "leaf-a",
    "wan-1",
    "client-a",
    "acme",
    "private",
    "public",
    "hq",
    "metro",
    "llama-8b",
    "nobody",
]
VALUES = st.sampled_from(
    [*NAMES, GONE, 0, 1, 7, 600, "1B", "1ms", "64kB", "10.1.0.0/30", "2001:db8::1", [], True]
)


@given(st.lists(st.tuples(st.sampled_from(sorted(fields())), VALUES), min_size=1, max_size=3))
@settings(max_examples=300)
def test_whatever_is_wrong_is_told_and_what_is_not_can_be_wired(edits: list[tuple[str, Any]]) -> None:
    try:
        edit = model(dict(edits))
    except (ModelError, LookupError, TypeError):
        return  # it has not the form, or there is no place for an edit
    if not any(problem.severity is Severity.ERROR for problem in check(edit)):
        Wiring(edit)
        assign(edit, [])


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    assert check(model(RIGHT[name])) == []
