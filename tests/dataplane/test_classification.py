# SPDX-License-Identifier: Apache-2.0
"""What kind of traffic a packet is: services, responses, classes, and what is watched."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from tests.dataplane.edge import (
    ACCESS,
    DROP_NO_GROUP,
    DROP_POLICY,
    LEAF,
    OTHER_ACCESS,
    OTHER_TENANT,
    TENANT,
    ZONE,
    Seen,
    add_key,
    classify,
    drops,
    make,
    permit,
    through,
    with_option,
)
from tests.dataplane.frames import CLIENT4, CLIENT6, NO_DEADLINE, SERVER4, SERVER6, sid
from tests.dataplane.harness import Node, P4jitNode

SERVICE, SERVICE4, SERVICE6, PORT = 77, "10.200.0.1", "2001:db8:200::1", 8000
OTHER_SERVICE, GROUP = 78, 5
TCP_, UDP_ = 6, 17
DEADLINE = 100_000_000


def packet(
    l4: type[Packet] = UDP, *, sport: int = 40000, dport: int = PORT, dst: str = SERVER4, **ip: object
) -> Packet:
    if ":" in dst:
        return IPv6(src=CLIENT6, dst=dst, **ip) / l4(sport=sport, dport=dport) / Raw(b"data")
    return IP(**{"src": CLIENT4, "dst": dst} | ip) / l4(sport=sport, dport=dport) / Raw(b"data")


def found(node: Node, sent: bytes | Packet, **more: int) -> Seen:
    seen = through(node, sent, **more)
    assert seen is not None
    return seen


def remaining(slack: int) -> int:
    """Where time is real, a packet has waited a little."""
    return DEADLINE if DEADLINE - 2_000_000 < slack <= DEADLINE else slack


# ---- services ------------------------------------------------------------------------------------------


def serve(node: Node, address: str, protocol: int = UDP_, port: int = PORT, by_address: int = 0) -> None:
    match = {"dst_addr": address, "protocol": protocol, "dst_port": port}
    node.insert("services", match, "set_service", service=SERVICE, by_address=by_address)


def steer(node: Node, tenant: int = TENANT) -> None:
    """To instance 1, or to the one that a cookie names: each behind its own function of the other leaf."""
    match = {"service": SERVICE, "tenant": tenant, "class_id": 0, "label": 0}
    node.insert("groups", match, "set_group", group=GROUP)
    with node.batch():
        for bucket in range(1024):
            node.insert(
                "buckets",
                {"group": GROUP, "bucket": bucket},
                "set_bucket",
                current=1,
                previous=1,
                state=0,
            )
    for instance in (1, 2):
        node.insert("members", {"group": GROUP, "instance": instance}, "honour_cookie")
        node.insert("liveness", {"instance": instance}, "NoAction")
        match = {"kind": 1, "target": instance, "class_id": 0, "label": 0}
        node.insert("paths", match, "via", segments=function(instance), mtu=9000, zone=ZONE, base_latency=0)


def function(instance: int) -> str:
    return sid(LEAF, 0xE000 + instance)


@pytest.mark.parametrize("dst", [SERVICE4, SERVICE6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(("l4", "protocol"), [(TCP, TCP_), (UDP, UDP_)], ids=["tcp", "udp"])
def test_a_service_is_an_address_protocol_and_port(
    node: Node, dst: str, l4: type[Packet], protocol: int
) -> None:
    make(node)
    serve(node, dst, protocol)
    steer(node)
    seen = found(node, packet(l4, dst=dst))
    assert (seen.din.service, seen.din.response, seen.dst) == (SERVICE, 0, function(1))
    # Another port, another protocol, and the next address are nobody's: there is no route to them either.
    other = UDP if l4 is TCP else TCP
    for stranger in (
        packet(l4, dst=dst, dport=PORT + 1),
        packet(other, dst=dst),
        packet(l4, dst=dst[:-1] + "2"),
    ):
        assert through(node, stranger) is None
    assert [p.metadata["reason"] for p in node.packet_ins()] == [1, 1, 1]  # PUNT_NO_DESTINATION


def test_other_traffic_is_of_no_service(node: Node) -> None:
    make(node)
    serve(node, SERVICE4)
    seen = found(node, packet())
    assert (seen.din.service, seen.din.response) == (0, 0)


def test_a_service_is_for_the_tenants_of_its_groups(node: Node) -> None:
    make(node)
    serve(node, SERVICE4)
    steer(node, OTHER_TENANT)
    assert through(node, packet(dst=SERVICE4)) is None
    assert drops(node, DROP_NO_GROUP) == 1


def test_fragments_find_their_service_by_address(node: Node) -> None:
    make(node)
    steer(node)
    for port in (PORT, 0):
        serve(node, SERVICE4, port=port, by_address=1)
    parts = fragment(
        IP(src=CLIENT4, dst=SERVICE4, id=9) / UDP(sport=40000, dport=PORT) / Raw(b"x" * 2000), 1000
    )
    hashes = {found(node, part).din.flow_hash for part in parts}
    hashes |= {found(node, packet(dst=SERVICE4, sport=sport)).din.flow_hash for sport in (1, 2, 3)}
    assert len(parts) == 3
    assert len(hashes) == 1, "fragments, and whole packets of any port, are the same to its hash"


def test_ports_tell_the_flows_of_other_services_apart(node: Node) -> None:
    make(node)
    steer(node)
    serve(node, SERVICE4)
    assert len({found(node, packet(dst=SERVICE4, sport=s)).din.flow_hash for s in range(8)}) == 8


def test_an_error_about_a_response_goes_to_the_service(node: Node) -> None:
    """RFC 7690: by the flow that it quotes, seen from the client."""
    make(node)
    steer(node)
    serve(node, SERVICE4)
    request = found(node, packet(dst=SERVICE4))
    response = IP(src=SERVICE4, dst=CLIENT4) / UDP(sport=PORT, dport=40000) / Raw(b"answer")
    error = found(node, IP(src=CLIENT4, dst=SERVICE4) / ICMP(type=3, code=3) / Raw(bytes(response)[:28]))
    assert (error.din.service, error.din.flow_hash, error.dst) == (
        SERVICE,
        request.din.flow_hash,
        request.dst,
    )


# ---- responses -----------------------------------------------------------------------------------------


def respond(
    node: Node, address: str = CLIENT4, port: int = ACCESS, by_address: int = 0, src_port: int = PORT
) -> None:
    match = {"port": port, "src_addr": address, "protocol": UDP_, "src_port": src_port}
    node.insert("responses", match, "set_response", service=SERVICE, instance=1, by_address=by_address)


def test_a_response_is_known_by_where_it_comes_from(node: Node) -> None:
    make(node)
    permit(node, OTHER_ACCESS)
    respond(node)
    seen = found(node, packet(sport=PORT, dport=40000))
    assert (seen.din.service, seen.din.response) == (SERVICE, 1)
    strangers = [(packet(sport=PORT + 1), ACCESS), (packet(TCP, sport=PORT), ACCESS)]
    strangers += [(packet(sport=PORT), OTHER_ACCESS), (packet(sport=PORT, src="10.1.0.6"), ACCESS)]
    for stranger, port in strangers:
        seen = found(node, stranger, port=port)
        assert (seen.din.service, seen.din.response) == (0, 0)


def test_a_request_is_one_though_it_comes_from_a_service(node: Node) -> None:
    """One service that asks another, from the address and port on which it answers itself."""
    make(node)
    steer(node)
    respond(node)
    serve(node, SERVICE4)
    seen = found(node, packet(sport=PORT, dst=SERVICE4))
    assert (seen.din.service, seen.din.response, seen.dst) == (SERVICE, 0, function(1))


# ---- a host's option and the address -------------------------------------------------------------------


@pytest.mark.parametrize(("claimed", "session", "instance"), [
    (SERVICE, 0xABCD, 2), (0, 0xABCD, 2), (OTHER_SERVICE, 0, 1),
], ids=["the same", "none", "another"])  # fmt: skip
def test_the_address_says_which_service_it_is(node: Node, claimed: int, session: int, instance: int) -> None:
    make(node)
    add_key(node)
    serve(node, SERVICE6)
    steer(node)
    cookie = {"instance": 2, "session": 0xABCD}
    seen = found(node, with_option(UDP(sport=1, dport=PORT), dst=SERVICE6, service=claimed, **cookie))
    assert (seen.din.service, seen.din.session, seen.dst) == (SERVICE, session, function(instance))


def test_a_service_that_the_address_is_not(node: Node) -> None:
    make(node)
    add_key(node)
    seen = found(node, with_option(UDP(sport=1, dport=PORT), service=SERVICE, session=5))
    assert (seen.din.service, seen.din.session) == (0, 0)


# ---- the classifier ------------------------------------------------------------------------------------


def test_unclassified_is_best_effort(node: Node) -> None:
    make(node, source=False)
    permit(node, label=4)
    seen = found(node, packet())
    din = seen.din
    assert (din.class_id, din.label, din.slack, din.late_drop, din.watched) == (0, 4, NO_DEADLINE, 0, 0)


SRC4 = (0xFFFF << 32) + 0x0A010005
PLAIN = packet()
MATCHES: dict[str, tuple[dict[str, object], Packet | None]] = {
    # What an entry asks for; and a packet that has it not, or None: one from another port.
    "port": ({"port": ACCESS}, None),
    "tenant": ({"tenant": TENANT}, None),
    "service": ({"service": SERVICE}, packet(sport=9)),
    "direction": ({"direction": 2}, packet(sport=9)),
    "no direction": ({"direction": 0}, packet(sport=40001)),
    "src_addr": ({"src_addr": CLIENT4}, packet(src="10.1.0.6")),
    "src_addr prefix": ({"src_addr": (SRC4 & ~0xFF, (1 << 128) - 0x100)}, packet(src="10.1.1.5")),
    "dst_addr": ({"dst_addr": SERVER4}, packet(dst="10.2.0.8")),
    "protocol": ({"protocol": UDP_}, packet(TCP)),
    "src_port": ({"protocol": UDP_, "src_port": 40000}, packet(sport=40002)),
    "dst_port": ({"protocol": UDP_, "dst_port": PORT}, packet(dport=PORT + 1)),
    "dscp": ({"dscp": 46}, packet(tos=34 << 2)),
    "option_verified": ({"option_verified": 0}, with_option(UDP(sport=40000, dport=PORT))),
}


@pytest.mark.parametrize("field", MATCHES)
def test_each_field_tells_packets_apart(node: Node, field: str) -> None:
    make(node)
    permit(node, OTHER_ACCESS, OTHER_TENANT)
    add_key(node)
    match, other = MATCHES[field]
    sent = packet(tos=46 << 2)
    if field in {"service", "direction"}:
        respond(node, src_port=40000)
    elif field == "no direction":
        respond(node, src_port=40001)
    classify(node, match, class_id=3, label=2, deadline=DEADLINE)
    seen = found(node, sent)
    assert (seen.din.class_id, seen.din.label, remaining(seen.din.slack)) == (3, 2, DEADLINE)
    seen = found(node, sent, port=OTHER_ACCESS) if other is None else found(node, other)
    assert (seen.din.class_id, seen.din.label, seen.din.slack) == (0, 0, NO_DEADLINE)


def test_what_an_option_claims_can_be_matched(node: Node) -> None:
    make(node)
    add_key(node)
    classify(node, {"option_verified": 1, "option_class": 4}, class_id=1, label=3, overrule=1)
    upper = UDP(sport=1, dport=2)
    assert found(node, with_option(upper, class_id=4)).din.class_id == 1
    assert found(node, with_option(upper, class_id=3)).din.class_id == 3
    # Not if it is not true: then nothing is claimed.
    assert found(node, with_option(upper, class_id=4, key=None)).din.class_id == 0


def test_the_highest_priority_wins(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, class_id=1, priority=1)
    classify(node, {"protocol": UDP_}, class_id=2, priority=3)
    classify(node, {"dst_addr": SERVER4}, class_id=3, priority=2)
    assert found(node, packet()).din.class_id == 2
    assert found(node, packet(TCP)).din.class_id == 3
    assert found(node, packet(TCP, dst="10.2.0.8")).din.class_id == 1


def test_what_is_denied(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, class_id=1)
    node.insert("classifier", {"protocol": UDP_, "dst_port": PORT}, "deny", priority=2)
    assert through(node, packet()) is None
    assert drops(node, DROP_POLICY) == 1
    assert found(node, packet(dport=PORT + 1)).din.class_id == 1


@pytest.mark.parametrize("label_mandatory", [0, 1])
@pytest.mark.parametrize(("own", "given"), [(0, 0), (0, 3), (4, 0), (4, 3)])
def test_labels(node: Node, label_mandatory: int, own: int, given: int) -> None:
    """An entry can put a label on, or another; it cannot take one off, nor touch one that is mandatory."""
    make(node, source=False)
    permit(node, label=own, label_mandatory=label_mandatory)
    classify(node, {"port": ACCESS}, label=given)
    assert found(node, packet()).din.label == (own if label_mandatory or not given else given)


@pytest.mark.parametrize("overrule", [0, 1])
def test_who_decides_when_there_is_an_option(node: Node, overrule: int) -> None:
    make(node)
    add_key(node)
    classify(node, {"port": ACCESS}, class_id=1, label=3, deadline=0, overrule=overrule)
    upper = UDP(sport=1, dport=2)
    seen = found(node, with_option(upper, class_id=4, label=2, deadline=DEADLINE))
    expected = (1, 3, NO_DEADLINE) if overrule else (4, 2, DEADLINE)
    assert (seen.din.class_id, seen.din.label, remaining(seen.din.slack)) == expected
    # A false one has no say.
    seen = found(node, with_option(upper, class_id=4, label=2, deadline=DEADLINE, key=None))
    assert (seen.din.class_id, seen.din.label, seen.din.slack) == (1, 3, NO_DEADLINE)


@pytest.mark.parametrize(("l4", "late_drop", "late_drop_tcp", "dropped"), [
    (UDP, 0, 0, 0), (UDP, 1, 0, 1), (UDP, 1, 1, 1), (TCP, 0, 0, 0), (TCP, 1, 0, 0), (TCP, 1, 1, 1),
])  # fmt: skip
def test_late_tcp_is_dropped_only_where_the_policy_says_so(
    node: Node, l4: type[Packet], late_drop: int, late_drop_tcp: int, dropped: int
) -> None:
    make(node)
    flags = {"late_drop": late_drop, "late_drop_tcp": late_drop_tcp}
    classify(node, {"port": ACCESS}, class_id=3, deadline=DEADLINE, **flags)
    assert found(node, packet(l4)).din.late_drop == dropped


def test_a_host_cannot_have_its_tcp_dropped_late_nor_spare_itself(node: Node) -> None:
    make(node)
    add_key(node)
    classify(node, {"port": ACCESS}, class_id=3, deadline=DEADLINE, late_drop=1)
    for l4, dropped in ((UDP, 1), (TCP, 0)):
        sent = with_option(l4(sport=1, dport=2), class_id=3, deadline=DEADLINE)
        assert found(node, sent).din.late_drop == dropped


# ---- the watchlist -------------------------------------------------------------------------------------


def watch(node: Node, match: dict[str, object], *, priority: int = 1, **params: int) -> None:
    values = {"instructions": 0xF000, "hop_ml": 4, "hops": 7, "tokens": 1} | params
    node.insert("watchlist", match, "watch", priority=priority, **values)


def watched(seen: Seen) -> tuple[int, int, int, int]:
    return seen.int_instructions, seen.int_hop_ml, seen.int_hops, seen.din.watched


WATCHED, NOT_WATCHED = (0xF000, 4, 7, 1), (0, 0, 0, 0)


@pytest.mark.parametrize("field", [f for f in MATCHES if f not in {"dscp", "option_verified"}])
def test_each_field_of_the_watchlist(node: Node, field: str) -> None:
    make(node)
    permit(node, OTHER_ACCESS, OTHER_TENANT)
    match, other = MATCHES[field]
    if field in {"service", "direction"}:
        respond(node, src_port=40000)
    elif field == "no direction":
        respond(node, src_port=40001)
    watch(node, match)
    assert watched(found(node, packet())) == WATCHED
    seen = found(node, packet(), port=OTHER_ACCESS) if other is None else found(node, other)
    assert watched(seen) == NOT_WATCHED


@pytest.mark.parametrize("field", ["class_id", "label"])
def test_what_the_classifier_found_can_be_watched(node: Node, field: str) -> None:
    make(node)
    classify(node, {"protocol": UDP_}, class_id=3, label=3)
    watch(node, {field: 3})
    assert watched(found(node, packet())) == WATCHED
    assert watched(found(node, packet(TCP))) == NOT_WATCHED


@pytest.mark.parametrize(("params", "expected"), [
    ({"tokens": 0}, (0xF000, 4, 7, 0)),
    ({"instructions": 0, "hop_ml": 0, "hops": 0}, (0, 0, 0, 1)),
    ({"instructions": 0x8000, "hop_ml": 1, "hops": 28}, (0x8000, 1, 28, 1)),
    ({"instructions": 0xFC00, "hop_ml": 8, "hops": 3}, (0xFC00, 8, 3, 1)),
])  # fmt: skip
def test_how_closely(node: Node, params: dict[str, int], expected: tuple[int, int, int, int]) -> None:
    make(node)
    watch(node, {"port": ACCESS}, **params)
    assert watched(found(node, packet())) == expected


def restriction(node: Node, name: str) -> str:
    (text,) = (a for a in node.names.thing(name).preamble.annotations if "restriction" in a)
    return str(text)


def test_the_hops_that_fit(node: Node) -> None:
    """The restriction, read as Python, says the same as the division does."""
    text = restriction(node, "watch")
    clauses = text[text.index('"') + 1 : text.rindex('"')].replace("&&", "and").replace("\n", " ")
    while "->" in clauses:
        at = clauses.index("->")
        start = clauses.rindex("(", 0, at)
        clauses = f"{clauses[:start]}(not ({clauses[start + 1 : at]}) or {clauses[at + 2 :]}"
    for hop_ml in range(32):
        for hops in range(64):
            values = {"tokens": 0, "hop_ml": hop_ml, "hops": hops, "instructions": 0xF000 if hop_ml else 0}
            allowed = bool(eval(clauses, {}, values))
            fits = hop_ml * hops <= 28 and (hop_ml == 0 or hops >= 1)
            if hop_ml == 0:
                fits = hops <= 28
            assert allowed == fits, (hop_ml, hops)


def test_a_denied_packet_is_not_watched(node: Node) -> None:
    make(node)
    node.insert("classifier", {"port": ACCESS}, "deny", priority=1)
    watch(node, {"port": ACCESS})
    assert through(node, packet()) is None
    assert drops(node, DROP_POLICY) == 1


# ---- against a model -----------------------------------------------------------------------------------


def test_precedence(embedded: P4jitNode) -> None:
    """Source, entry, option, overruling entry, mandatory label, in any combination."""
    node = embedded
    make(node, source=False)
    add_key(node)
    permit(node)
    classify(node, {"port": ACCESS})

    labels, classes = st.integers(0, 5), st.integers(0, 4)

    @settings(max_examples=150, deadline=None)
    @given(
        st.tuples(labels, st.integers(0, 1)),
        st.tuples(classes, labels, st.integers(0, 1)),
        st.tuples(classes, labels) | st.none(),
        st.booleans(),
    )
    def check(
        source: tuple[int, int], entry: tuple[int, int, int], option: tuple[int, int] | None, true: bool
    ) -> None:
        permit(node, label=source[0], label_mandatory=source[1], modify=True)
        node.delete("classifier", {"port": ACCESS}, priority=1)
        classify(node, {"port": ACCESS}, class_id=entry[0], label=entry[1], overrule=entry[2])
        upper = UDP(sport=1, dport=2)
        if option is None:
            sent = packet(dst=SERVER6)
        else:
            key = {} if true else {"key": None}
            sent = with_option(upper, class_id=option[0], label=option[1], **key)
        class_id, label = 0, source[0]
        if option is not None and true:
            class_id, label = option
        if option is None or not true or entry[2]:
            class_id = entry[0]
            label = entry[1] or source[0]
        if source[1]:
            label = source[0]
        din = found(node, sent).din
        assert (din.class_id, din.label) == (class_id, label)

    check()


def test_the_parts_of_a_packet_that_lie(node: Node) -> None:
    """A later fragment's bytes are no ports, whatever they look like."""
    make(node)
    classify(node, {"protocol": UDP_, "dst_port": PORT}, class_id=3)
    lying = IP(src=CLIENT4, dst=SERVER4, frag=5, proto=17) / Raw(
        struct.pack("!HHHH", 40000, PORT, 12, 0) + b"data"
    )
    assert found(node, lying).din.class_id == 0
    assert found(node, packet()).din.class_id == 3
