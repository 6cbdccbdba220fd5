# SPDX-License-Identifier: Apache-2.0
"""A host's DIN option: believed if its tag is true, and nothing but bytes otherwise."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from din.packet import DINHostOption, sign
from din.packet.halfsiphash import halfsiphash24
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrSegmentRouting,
)
from scapy.packet import Packet, Raw

from tests.dataplane.edge import (
    ACCESS,
    BAD_TAG,
    DROP_OPTION_TAG,
    EPOCH,
    FORBIDDEN_CLASS,
    FOREIGN_TENANT,
    KEY,
    KEY_ID,
    NO_KEY,
    OTHER_ACCESS,
    OTHER_TENANT,
    TENANT,
    VERIFIED,
    add_key,
    classify,
    drops,
    make,
    permit,
    results,
    through,
    with_option,
)
from tests.dataplane.frames import CLIENT6, NO_DEADLINE, SERVER6, access, udp6
from tests.dataplane.harness import Node, P4jitNode, Program

DEADLINE = 100_000_000
CLAIM = {"class_id": 3, "label": 2, "session": 0xABCD, "deadline": DEADLINE}
DATA = UDP(sport=40000, dport=8000) / Raw(b"data")
#: Offsets in a packet with an option: addresses, its data, ports.
ADDRESSES, OPTION, TAG, PORTS = range(8, 40), range(44, 60), range(60, 64), range(64, 68)


def counted(node: Node, result: int, times: int = 1) -> None:
    assert results(node) == [times if r == result else 0 for r in range(5)]


def is_believed(node: Node, packet: bytes | Packet, *, port: int = ACCESS) -> bool:
    """And nothing between: either all of CLAIM holds, or none of it."""
    found = through(node, packet, port=port)
    assert found is not None
    din = found.din
    claimed = (din.class_id, din.label, din.session, remaining(din.slack))
    assert claimed in {(3, 2, 0xABCD, DEADLINE), (0, 0, 0, NO_DEADLINE)}
    return claimed[0] == 3


def remaining(slack: int) -> int:
    """Where time is real, a packet has waited a little."""
    return DEADLINE if DEADLINE - 2_000_000 < slack <= DEADLINE else slack


# ---- the tag -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "tag"), [
    (0, "a9359f5b"), (1, "27475ab8"), (4, "2a6e4689"), (8, "d0b8848f"), (16, "d9b5ac84"), (24, "27400c63"),
    (32, "fee72112"),
])  # fmt: skip
def test_the_hash_that_the_switch_is_held_to(length: int, tag: str) -> None:
    """The reference vectors. Those of the switch's 52 bytes follow from it, below."""
    assert halfsiphash24(bytes(range(8)), bytes(range(length))).hex() == tag


def test_the_tag_by_hand(node: Node) -> None:
    """Nothing of ours but the hash: the message is put together here, from the bytes of the packet."""
    make(node)
    add_key(node)
    option = struct.pack("!BBBB HHHH I", 0x13, 2, KEY_ID, EPOCH, TENANT, 0, 0, 0xABCD, DEADLINE)
    message = (
        IPv6Address(CLIENT6).packed + IPv6Address(SERVER6).packed + struct.pack("!HH", 40000, 8000) + option
    )
    assert len(message) == 52
    tag = halfsiphash24(KEY, message)
    l4 = bytes(IPv6(src=CLIENT6, dst=SERVER6) / DATA)[40:]
    header = struct.pack("!BBBB", 17, 2, 0x1E, 20) + option + tag
    whole = header + l4
    packet = struct.pack("!IHBB", 6 << 28, len(whole), 60, 64) + message[:32] + whole
    assert bytes(with_option(DATA, **CLAIM)) == packet, "what the SDK sends"
    assert is_believed(node, packet)
    counted(node, VERIFIED)
    assert not is_believed(node, packet[:60] + bytes(reversed(tag)) + packet[64:])


def test_known_tags(node: Node) -> None:
    """Random keys and packets: the switch's tag is the reference's."""
    make(node)
    numbers = random.Random(24)
    for count in range(40):
        key = numbers.randbytes(8)
        add_key(node, key=key, epoch=count)
        ports = {"sport": numbers.randrange(1 << 16), "dport": numbers.randrange(1 << 16)}
        src = str(IPv6Address(0x20010DB8 << 96 | numbers.getrandbits(96)))
        packet = with_option(UDP(**ports) / b"x", key=key, src=src, epoch=count, **CLAIM)
        assert is_believed(node, packet), (key.hex(), bytes(packet).hex())
    counted(node, VERIFIED, 40)


FORMS = {
    "udp": DATA,
    "tcp": TCP(sport=40000, dport=8000, flags="S") / Raw(b""),
    "ping": ICMPv6EchoRequest(data=b"ping"),
    "error": ICMPv6DestUnreach(code=4) / IPv6(src=SERVER6, dst=CLIENT6) / UDP(sport=8000, dport=40000),
    "first fragment": IPv6ExtHdrFragment(m=1, offset=0, nh=17, id=5)
    / Raw(struct.pack("!HHHH", 4000, 80, 24, 0) + b"x" * 8),
    "later fragment": IPv6ExtHdrFragment(m=0, offset=2, nh=17, id=5) / Raw(b"x" * 16),
    "unknown protocol": Raw(b"x" * 16),
    "source routed": IPv6ExtHdrSegmentRouting(addresses=[SERVER6], lastentry=0, segleft=0) / DATA,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_packet_may_have_an_option(node: Node, form: str) -> None:
    """Ports count where there are TCP or UDP and the packet is whole; an error's quoted ports never do."""
    make(node)
    add_key(node)
    packet = with_option(FORMS[form], **CLAIM)
    if form == "unknown protocol":
        packet[IPv6ExtHdrDestOpt].nh = 132
        packet = sign(packet, KEY)
    assert is_believed(node, packet)
    counted(node, VERIFIED)


def test_every_bit_counts(embedded: P4jitNode) -> None:
    """Of addresses, ports, option and tag: a changed packet has no claim, whichever bit it is."""
    node = embedded
    make(node)
    add_key(node)
    good = bytes(with_option(DATA, **CLAIM))
    assert is_believed(node, good)
    refused = 0
    for at in (*range(8, 24), *OPTION, *TAG, *PORTS):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            found = node.exchange(ACCESS, access(bytes(bad)))
            if not found:
                # Its source is not one: multicast.
                assert at == 8
                continue
            din = found[0][1][70:98]
            assert din[4:6] == b"\x10\0", (at, bit)
            assert din[8:16] == bytes(2) + bytes(2) + b"\xff\xff\xff\xff", (at, bit)
            refused += 1
    assert refused > 300
    assert node.counter("host_options", VERIFIED).packets == 1


def test_what_the_tag_does_not_cover(node: Node) -> None:
    """Payload, hop limit, traffic class and flow label may change on the way, as they do."""
    make(node)
    add_key(node)
    packet = with_option(UDP(sport=1, dport=2) / Raw(b"one"), **CLAIM)
    packet[IPv6].hlim, packet[IPv6].tc, packet[IPv6].fl = 9, 0x20, 77
    packet[Raw].load = b"two"
    assert is_believed(node, bytes(packet))


# ---- who may speak for whom ----------------------------------------------------------------------------


def test_without_a_key(node: Node) -> None:
    make(node)
    assert not is_believed(node, with_option(DATA, **CLAIM))
    counted(node, NO_KEY)


@pytest.mark.parametrize("change", [{"key_id": KEY_ID + 1}, {"epoch": EPOCH + 1}, {"epoch": EPOCH - 1}])
def test_a_key_is_of_its_number_and_epoch(node: Node, change: dict[str, int]) -> None:
    make(node)
    add_key(node)
    assert not is_believed(node, with_option(DATA, **CLAIM, **change))
    counted(node, NO_KEY)


def test_another_key(node: Node) -> None:
    make(node)
    add_key(node)
    assert not is_believed(node, with_option(DATA, key=bytes(8), **CLAIM))
    counted(node, BAD_TAG)


def test_an_epoch_ends(node: Node) -> None:
    """A packet that was true is worth nothing once its epoch's key is gone."""
    make(node)
    add_key(node)
    packet = with_option(DATA, **CLAIM)
    assert is_believed(node, packet)
    assert is_believed(node, packet), "a replay, in time"
    add_key(node, epoch=EPOCH + 1)
    assert is_believed(node, packet), "both epochs stand"
    node.delete("option_keys", {"tenant": TENANT, "key_id": KEY_ID, "epoch": EPOCH})
    assert not is_believed(node, packet)
    # Nor is it made true by a new number: the epoch is under the tag.
    forged = bytearray(bytes(packet))
    forged[47] = EPOCH + 1
    assert not is_believed(node, bytes(forged))
    assert results(node) == [3, 1, 1, 0, 0]


def test_a_key_of_another_tenant(node: Node) -> None:
    """Even with the true key: port and source say who it is."""
    make(node)
    add_key(node)
    add_key(node, OTHER_TENANT)
    permit(node, OTHER_ACCESS, OTHER_TENANT)
    assert not is_believed(node, with_option(DATA, **CLAIM, tenant=OTHER_TENANT))
    assert not is_believed(node, with_option(DATA, **CLAIM), port=OTHER_ACCESS)
    counted(node, FOREIGN_TENANT, 2)
    assert is_believed(node, with_option(DATA, **CLAIM, tenant=OTHER_TENANT), port=OTHER_ACCESS)


@pytest.mark.parametrize("class_id", range(16))
def test_a_key_has_its_classes(node: Node, class_id: int) -> None:
    make(node)
    add_key(node, classes=0b01001)
    found = through(node, with_option(DATA, class_id=class_id, label=2))
    assert found is not None
    allowed = class_id in {0, 3}
    counted(node, VERIFIED if allowed else FORBIDDEN_CLASS)
    assert (found.din.class_id, found.din.label) == ((class_id, 2) if allowed else (0, 0))


def test_control_is_for_no_host(node: Node) -> None:
    """A restriction, for who writes entries to check: that it is stated is all that a switch can do."""
    action = node.names.thing("set_key")
    assert any("classes < 32" in a for a in action.preamble.annotations)


@pytest.mark.parametrize("option", [
    DINHostOption(version=2), DINHostOption(option_type=0x3E), DINHostOption(option_length=16),
], ids=["version", "type", "length"])  # fmt: skip
def test_what_is_not_our_option(node: Node, option: DINHostOption) -> None:
    """Is payload, not even counted."""
    make(node)
    add_key(node)
    data = bytes(option)[:22] if option.option_length == 20 else bytes(option)[:18] + b"\1\2\0\0"
    packet = (
        struct.pack("!IHBB", 6 << 28, 24 + 12, 60, 64)
        + IPv6Address(CLIENT6).packed
        + IPv6Address(SERVER6).packed
    )
    packet += struct.pack("!BB", 17, 2) + data + bytes(DATA)
    found = through(node, packet)
    assert found is not None
    assert found.inner == packet[:7] + b"\x3f" + packet[8:]
    assert results(node) == [0] * 5


def test_the_option_travels_on(node: Node) -> None:
    """True or not, it is the tenant's: byte for byte."""
    make(node)
    add_key(node)
    for packet in (with_option(DATA, **CLAIM), with_option(DATA, key=None, **CLAIM)):
        found = through(node, packet)
        assert found is not None
        data = bytes(packet)
        assert found.inner == data[:7] + b"\x3f" + data[8:]


# ---- what a true option does ---------------------------------------------------------------------------


def test_no_deadline(node: Node) -> None:
    make(node)
    add_key(node)
    found = through(node, with_option(DATA, **CLAIM | {"deadline": 0}))
    assert found is not None
    assert found.din.slack == NO_DEADLINE


def test_a_mandatory_label_is_not_the_hosts_to_choose(node: Node) -> None:
    make(node, source=False)
    permit(node, label=5, label_mandatory=1)
    add_key(node)
    found = through(node, with_option(DATA, **CLAIM))
    assert found is not None
    assert (found.din.label, found.din.class_id, found.din.session) == (5, 3, 0xABCD)


def test_a_label_may_be_taken_off(node: Node) -> None:
    make(node, source=False)
    permit(node, label=5)
    add_key(node)
    for label in (0, 2):
        found = through(node, with_option(DATA, **CLAIM | {"label": label}))
        assert found is not None
        assert found.din.label == label
    found = through(node, with_option(DATA, key=None, **CLAIM))
    assert found is not None
    assert found.din.label == 5, "a false option leaves the source's"


def test_what_has_to_have_an_option(node: Node) -> None:
    make(node, source=False)
    permit(node, option_required=1)
    add_key(node)
    assert is_believed(node, with_option(DATA, **CLAIM))
    for count, bad in enumerate(
        (udp6(), with_option(DATA, key=None, **CLAIM), with_option(DATA, tenant=9)), 1
    ):
        assert through(node, bad) is None
        assert drops(node, DROP_OPTION_TAG) == count


# ---- properties ----------------------------------------------------------------------------------------

FIELDS = st.fixed_dictionaries(
    {
        "class_id": st.integers(0, 15),
        "label": st.integers(0, 255),
        "key_id": st.sampled_from([KEY_ID, KEY_ID, KEY_ID, 0]),
        "epoch": st.sampled_from([EPOCH, EPOCH, EPOCH, EPOCH - 1]),
        "tenant": st.sampled_from([TENANT, TENANT, TENANT, OTHER_TENANT]),
        "service": st.integers(0, 0xFFFF),
        "instance": st.integers(0, 0xFFFF),
        "session": st.integers(0, 0xFFFF),
        "deadline": st.integers(0, 0xFFFFFFFF),
    }
)


def test_a_bad_or_replayed_tag_gains_nothing(embedded: P4jitNode) -> None:
    """Whatever an option claims: with a tag that is not true for this very packet, all is as it is without
    any key in the switch."""
    node, bare = embedded, 99
    make(node)
    make_bare_port(node, bare)
    add_key(node)
    add_key(node, OTHER_TENANT)
    classify(node, {"tenant": TENANT}, class_id=1, label=1, deadline=7777)

    @settings(max_examples=300, deadline=None)
    @given(FIELDS, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.booleans())
    def check(fields: dict[str, int], tag: int, sport: int, replayed: bool) -> None:
        upper = UDP(sport=sport, dport=8000) / Raw(b"data")
        true = with_option(upper, **fields)
        if replayed:
            # True, in another flow.
            tag = with_option(UDP(sport=sport ^ 1, dport=8000) / Raw(b"data"), **fields)[DINHostOption].tag
        if tag == true[DINHostOption].tag:
            return
        false = with_option(upper, key=None, **fields, tag=tag)
        before = node.counter("host_options", VERIFIED).packets
        found = through(node, false)
        assert found is not None
        assert node.counter("host_options", VERIFIED).packets == before
        assert (found.din.class_id, found.din.label, found.din.slack) == (1, 1, 7777)
        assert (found.din.service, found.din.session, found.din.late_drop) == (0, 0, 0)
        # As on a port whose tenant has no keys at all.
        plain = through(node, false, port=bare)
        assert plain is not None
        assert replace(plain, tenant=found.tenant) == found

    check()


def make_bare_port(node: Node, port: int) -> None:
    tenant = 99
    node.insert("ports", {"port": port}, "set_access", zone=1)
    permit(node, port, tenant)
    node.insert("destinations", {"tenant": tenant, "dst_addr": "2001:db8:2::/48"}, "to_leaf", leaf=0x44)
    classify(node, {"tenant": tenant}, class_id=1, label=1, deadline=7777, priority=2)


def test_the_hash_is_small(program: Program) -> None:
    """How it is written decides about its size by a factor of a thousand: see halfsiphash.p4."""
    actions = {a["name"]: a for a in json.loads(program.json.read_text())["actions"]}
    (tag,) = (a for name, a in actions.items() if name.endswith("compute_tag"))
    size = len(json.dumps(tag, separators=(",", ":")))
    print(f"HalfSipHash: {len(tag['primitives'])} primitives, {size:,} bytes of JSON without white space")
    assert size < 400_000
