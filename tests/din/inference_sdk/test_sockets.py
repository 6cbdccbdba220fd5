# SPDX-License-Identifier: Apache-2.0
"""Marking, as far as it goes without a network and without any right."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from din.inference import How, Keyring, mark, moved, refresh
from din.inference.marking import sockets
from din.inference.marking.claim import ClaimError
from din.model.service import TrafficClassName

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


@pytest.mark.parametrize("peer", [
    "::1", 5, (), ("::1",), ("::1", "80"), (None, 80), ("::1", 80, 0), ("::1", 0), ("::1", 65536), ("::", 80),
])  # fmt: skip
def test_what_is_no_peer(tcp: socket.socket, peer: Any) -> None:
    with pytest.raises(ValueError, match=r"peer: |no port|no address"):
        mark(tcp, peer=peer, **CLAIM)
    assert tcp.getsockname()[1] == 0
    assert tcp.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 0


@pytest.mark.parametrize(("family", "kind", "protocol"), [
    (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_MPTCP),
    (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE),
])  # fmt: skip
def test_what_is_no_connection_is_refused(family: int, kind: int, protocol: int) -> None:
    with (
        socket.socket(family, kind, protocol) as sock,
        pytest.raises(ValueError, match=rf"not a TCP or UDP socket: {sock.family.name}, {sock.type.name}"),
    ):
        mark(sock, peer=("::1", 9), **CLAIM)


def test_a_listening_socket_is_refused(listener: socket.socket) -> None:
    """What it accepts would inherit the option, with another connection's tag."""
    with pytest.raises(ValueError, match="a listening socket sends nothing"):
        mark(listener, peer=("::1", 9), **CLAIM)


def test_a_closed_socket(tcp: socket.socket) -> None:
    tcp.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        mark(tcp, peer=("::1", 9), **CLAIM)


async def test_asyncio_gets_a_marked_socket(listener: socket.socket, tcp: socket.socket) -> None:
    peer = listener.getsockname()[:2]
    marking = mark(tcp, peer=peer, **CLAIM)
    tcp.setblocking(False)
    await asyncio.get_running_loop().sock_connect(tcp, peer)
    _, writer = await asyncio.open_connection(sock=tcp)
    with pytest.raises(TypeError, match=r"not TransportSocket: mark the socket before asyncio gets it"):
        mark(writer.get_extra_info("socket"), **CLAIM)
    assert refresh(tcp) == marking
    writer.close()


def test_ecn_is_the_applications() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.connect(("::1", 9))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xFC | 2)
        mark(sock, **CLAIM)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == AF21 | 2


def test_what_linux_does_not_do_is_said(
    listener: socket.socket, tcp: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some that call themselves Linux have no such option."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))

    monkeypatch.setattr(sockets, "set_header", refuse)
    keyring = Keyring.of(7, 1, bytes(16), [TrafficClassName.SCHEDULED])
    marking = mark(tcp, peer=listener.getsockname(), keyring=keyring, **CLAIM)
    assert (marking.how, marking.dscp) == (How.DSCP, AF21 >> 2)
    assert marking.why.startswith("Linux does not set the option: Protocol not available; no agent answers")


def test_a_false_claim_changes_nothing(tcp: socket.socket) -> None:
    for wrong in (
        {"tenant": 1 << 16},
        {"label": "no label"},
        {"traffic_class": "control"},
        {"deadline_ms": 0},
        {"deadline_ms": float("nan")},
        {"deadline_ms": 1e9},
        {"deadline_ms": "300"},
        {"label": ""},
        {"cookie": ()},
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


def test_a_tls_socket_is_marked_before_it_connects(listener: socket.socket, tcp: socket.socket) -> None:
    peer = listener.getsockname()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(tcp, do_handshake_on_connect=False) as wrapped:
        marking = mark(wrapped, peer=peer, **CLAIM)
        bound = wrapped.getsockname()
        wrapped.connect(peer)
        assert wrapped.getsockname() == bound
        assert refresh(wrapped) == marking


def test_a_forked_process_marks() -> None:
    """Whatever its parent's threads did at that moment."""
    code = """
import os, socket
from din.inference.marking import sockets
with sockets._marks._lock:
    child = os.fork()
    if not child:
        sock = socket.socket(socket.AF_INET)
        sockets.mark(sock, tenant=7, service=0)
        os._exit(0)
    raise SystemExit(os.waitpid(child, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_a_mark_keeps_no_socket(listener: socket.socket) -> None:
    sock = socket.socket(socket.AF_INET6)
    mark(sock, peer=listener.getsockname(), **CLAIM)
    gone = ref(sock)
    sock.close()
    del sock
    gc.collect()
    assert gone() is None
