# SPDX-License-Identifier: Apache-2.0
"""Marking, as far as it goes without a network and without any right."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from din.inference import How, mark, refresh
from din.inference.marking import moved
from din.inference.marking.claim import ClaimError

CLAIM: dict[str, Any] = {"tenant": 7, "service": 0, "agent": "/nowhere/agent.sock"}
AF21, AF11 = 18 << 2, 10 << 2


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        yield server


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6) as sock:
        yield sock


def test_the_source_is_there_before_the_connection(listener: socket.socket, tcp: socket.socket) -> None:
    peer = listener.getsockname()[:2]
    marking = mark(tcp, peer=peer, **CLAIM)
    bound = tcp.getsockname()
    assert bound[0] == "::1"
    assert bound[1] > 0
    tcp.connect(peer)
    assert tcp.getsockname() == bound
    assert marking.how is How.DSCP
    assert "no keyring" in marking.why
    assert "no agent answers at /nowhere/agent.sock" in marking.why
    assert tcp.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == AF21


def test_a_source_of_ones_own_stays(listener: socket.socket, tcp: socket.socket) -> None:
    tcp.bind(("::1", 0))
    bound = tcp.getsockname()
    mark(tcp, peer=listener.getsockname(), **CLAIM)
    assert tcp.getsockname() == bound


@pytest.mark.parametrize(("name", "byte"), [
    ("scheduled", AF21), ("kv-transfer", AF11), ("training", 4), ("best-effort", 0), ("deterministic", 0),
])  # fmt: skip
def test_classes_have_their_dscp(name: str, byte: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xFC)
        assert mark(sock, **CLAIM, traffic_class=name).dscp == byte >> 2
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == byte


def test_where_it_leads_must_be_known(tcp: socket.socket) -> None:
    with pytest.raises(ValueError, match="say with peer="):
        mark(tcp, **CLAIM)
    with pytest.raises(ValueError, match=r"'localhost' is not an IPv6 address; resolve names first"):
        mark(tcp, peer=("localhost", 80), **CLAIM)
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams,
        pytest.raises(ValueError, match="to be connected first"),
    ):
        mark(datagrams, peer=("::1", 9), **CLAIM)


def test_what_is_no_connection_is_refused() -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(ValueError, match="not a TCP or UDP socket: AF_UNIX, SOCK_STREAM"):
        mark(one, **CLAIM)


def test_a_false_claim_changes_nothing(tcp: socket.socket) -> None:
    for wrong in (
        {"tenant": 1 << 16},
        {"label": "no label"},
        {"traffic_class": "control"},
        {"deadline_ms": 0},
        {"deadline_ms": float("nan")},
        {"deadline_ms": 1e9},
        {"cookie": (1, 1 << 16)},
    ):
        with pytest.raises(ClaimError, match=next(iter(wrong)).removesuffix("_ms")):
            mark(tcp, peer=("::1", 9), **{**CLAIM, **wrong})
    assert tcp.getsockname()[1] == 0
    assert tcp.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 0


def test_a_keyring_that_cannot_be_read_is_said(
    listener: socket.socket, tcp: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIN_KEYRING", "/nowhere/keyring.yaml")
    assert "/nowhere/keyring.yaml" in mark(tcp, peer=listener.getsockname(), **CLAIM).why


def test_refresh(listener: socket.socket, tcp: socket.socket) -> None:
    with pytest.raises(ValueError, match="never marked"):
        refresh(tcp)
    marking = mark(tcp, peer=listener.getsockname(), **CLAIM)
    assert refresh(tcp) == marking


def test_a_mark_goes_with_its_connection(listener: socket.socket, tcp: socket.socket) -> None:
    peer = listener.getsockname()
    marking = mark(tcp, peer=peer, **CLAIM)
    tcp.connect(peer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(tcp, do_handshake_on_connect=False) as wrapped:
        moved(tcp, wrapped)
        assert refresh(wrapped) == marking
        with pytest.raises(ValueError, match="never marked"):
            refresh(tcp)


def test_a_mark_keeps_no_socket(listener: socket.socket) -> None:
    sock = socket.socket(socket.AF_INET6)
    mark(sock, peer=listener.getsockname(), **CLAIM)
    gone = ref(sock)
    sock.close()
    del sock
    gc.collect()
    assert gone() is None
