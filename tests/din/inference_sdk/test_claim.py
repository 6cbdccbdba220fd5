# SPDX-License-Identifier: Apache-2.0
"""Claims, and the header that a claim becomes."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from din.inference.marking.claim import Claim, ClaimError, Option, SigningKey
from din.inference.marking.flow import Flow
from din.model.service import TrafficClassName
from din.packet import DINHostOption, sign
from din.packet.constants import TrafficClass
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt

WORDS, BYTES = st.integers(0, 0xFFFF), st.integers(0, 0xFF)
ADDRESSES = st.integers(1 << 96, (1 << 127) - 1).map(IPv6Address)


@given(
    option=st.builds(
        Option,
        tenant=WORDS,
        service=WORDS,
        label=BYTES,
        traffic_class=st.sampled_from(TrafficClassName),
        deadline=st.integers(0, (1 << 31) - 1),
        cookie=st.tuples(WORDS, WORDS),
    ),
    flow=st.builds(Flow, ADDRESSES, WORDS, ADDRESSES, WORDS),
    key=st.builds(SigningKey, BYTES, st.integers(0, 1 << 40), st.binary(min_size=8, max_size=8)),
)
def test_a_header_is_what_scapy_makes_of_it(option: Option, flow: Flow, key: SigningKey) -> None:
    layer = DINHostOption(
        class_id=TrafficClass[option.traffic_class.name],
        label=option.label,
        key_id=key.id,
        epoch=key.epoch & 0xFF,
        tenant=option.tenant,
        service=option.service,
        instance=option.cookie[0],
        session=option.cookie[1],
        deadline=option.deadline,
    )
    packet = IPv6(src=str(flow.src), dst=str(flow.dst)) / IPv6ExtHdrDestOpt(options=[layer])
    whole = bytes(sign(packet / TCP(sport=flow.src_port, dport=flow.dst_port), key.secret))
    # The first byte, the next header, is Linux's to fill in.
    assert option.header(flow, key)[1:] == whole[41:64]


@pytest.mark.parametrize(("fields", "why"), [
    ({"tenant": 65536}, r"^tenant: .*less than or equal to 65535"),
    ({"tenant": "Acme Inc."}, r"^tenant: "),
    ({"tenant": -1}, r"^tenant: "),
    ({"tenant": True}, r"^tenant: "),
    ({"label": 256}, r"^label: "),
    ({"traffic_class": "control"}, r"^traffic_class: .*'best-effort'"),
    ({"deadline": 1 << 31}, r"^deadline: "),
    ({"cookie": (1,)}, r"^cookie: "),
    ({"tenant": None, "label": "a b"}, r"tenant: .*; label: "),
    ({"colour": "red"}, r"^colour: "),
])  # fmt: skip
def test_what_cannot_be_said(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ClaimError, match=why):
        Claim.of(**{"tenant": 7, "service": 4, **fields})
