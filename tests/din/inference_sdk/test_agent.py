# SPDX-License-Identifier: Apache-2.0
"""The host's agent: whom it serves, and who cannot disturb it. That it marks is in `test_live`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from din.inference.agent import config, server
from din.inference.agent.config import Permit
from din.inference.agent.policy import Caller, refusal
from din.inference.marking.claim import Claim, Option
from din.inference.marking.request import LARGEST, AgentError, ask
from din.model.problem import ModelError
from din.model.service import TrafficClassName
from hypothesis import given
from hypothesis import strategies as st

BEST_EFFORT, SCHEDULED = TrafficClassName.BEST_EFFORT, TrafficClassName.SCHEDULED
NO_RIGHT = "the agent has no CAP_NET_RAW where the socket was made"
TEXT = """\
version: 1
tenants:
  - name: acme
    id: 7
    keys: [{{id: 1, source: "env:DIN_TEST_MASTER", classes: [scheduled]}}]
  - name: other
    id: 8
    keys: [{{id: 1, source: "env:DIN_TEST_MASTER"}}]
services: {{chat: 4}}
labels: {{confidential: 2}}
permits:
  - {{users: [{user}], tenant: acme, services: [chat]}}
  - {{users: [65533], tenant: other}}
"""
PEER = ("::1", 9, 0, 0)
STRANGER = 60_000
UNSHARED = ("unshare", "--map-root-user", "--net", sys.executable, "-m", "din.inference.agent")
CLAIM = Claim(tenant="acme", service="chat")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIN_TEST_MASTER", bytes(16).hex())
    path = tmp_path / "agent.yaml"
    path.write_text(TEXT.format(user=os.getuid()))
    return path


@contextlib.contextmanager
def serving(file: Path, path: str) -> Iterator[None]:
    listener = server.listen(path)
    threading.Thread(target=server.Agent(config.load(file)).serve, args=(listener,), daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def agent(file: Path) -> Iterator[str]:
    """Its socket."""
    with tempfile.TemporaryDirectory() as folder, serving(file, f"{folder}/agent.sock"):
        yield f"{folder}/agent.sock"


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        yield sock


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(10)
    connection.connect(path)
    return connection


def told(path: str, text: bytes, *descriptors: int) -> str:
    """What it says of a message that it refuses."""
    with connect(path) as connection:
        socket.send_fds(connection, [text], descriptors)
        answer = json.loads(connection.recv(LARGEST))
    assert answer["epoch"] is None
    return str(answer["error"])


def request(**fields: Any) -> bytes:
    claim = {"tenant": "acme", "service": "chat", **fields.pop("claim", {})}
    return json.dumps({"claim": claim, "peer": PEER, **fields}).encode()


def outcome(path: str, sock: socket.socket) -> str:
    try:
        ask(path, sock, CLAIM, PEER)
    except AgentError as error:
        return str(error).partition("refused: ")[2]
    return "marked"


def permitted(path: str, sock: socket.socket) -> None:
    """It gets as far as Linux, whatever that says: these tests may not have the right themselves."""
    assert outcome(path, sock) in ("marked", NO_RIGHT)


# ---- whom it serves ------------------------------------------------------------------------------------


def test_what_is_permitted(agent: str, bound: socket.socket) -> None:
    permitted(agent, bound)


@pytest.mark.parametrize(("claim", "why"), [
    ({"tenant": "other"}, "may not speak for tenant 8"),
    ({"tenant": 8}, "may not speak for tenant 8"),
    ({"tenant": 65535}, "may not speak for tenant 65535"),
    ({"label": "confidential"}, "may not claim the label 2"),
    ({"label": 9}, "may not claim the label 9"),
    ({"traffic_class": "training"}, "may not claim the class training"),
    ({"traffic_class": "best-effort"}, "no key of tenant 7 may claim the class best-effort"),
    ({"service": 5}, "may not claim the service 5"),
    ({"tenant": "nobody"}, "no tenant nobody is known"),
    ({"tenant": 1 << 16}, "not a request"),
])  # fmt: skip
def test_what_is_not(agent: str, bound: socket.socket, claim: dict[str, Any], why: str) -> None:
    assert why in told(agent, request(claim=claim), bound.fileno())


OPTIONS = st.builds(
    Option,
    tenant=st.integers(1, 2),
    service=st.integers(0, 1),
    label=st.integers(0, 1),
    traffic_class=st.sampled_from([BEST_EFFORT, SCHEDULED]),
    deadline=st.just(0),
    cookie=st.just((0, 0)),
)
FEW = st.frozensets(st.integers(0, 2), max_size=2)
PERMITS = st.builds(
    Permit,
    users=FEW,
    groups=FEW,
    tenant=st.integers(1, 2),
    labels=FEW,
    classes=st.frozensets(st.sampled_from([BEST_EFFORT, SCHEDULED])),
    services=st.none() | FEW,
)
CALLERS = st.builds(Caller, pid=st.just(1), user=st.integers(0, 2), groups=FEW)


@given(st.lists(PERMITS, max_size=3), CALLERS, OPTIONS)
def test_one_permit_has_to_cover_all_of_it(permits: list[Permit], caller: Caller, option: Option) -> None:
    covered = any(
        (caller.user in each.users or caller.groups & each.groups)
        and option.tenant == each.tenant
        and option.label in each.labels
        and option.traffic_class in each.classes
        and (each.services is None or option.service in each.services)
        for each in permits
    )
    assert (refusal(permits, caller, option) == "") == covered


def test_groups_are_all_that_a_process_has() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        caller = Caller.of(one)
    assert (caller.pid, caller.user) == (os.getpid(), os.getuid())
    assert caller.groups == {os.getgid(), *os.getgroups()}


# ---- who means harm ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "why"), [
    (b"\xff\xfe", "not a request"),
    (b"{}", "not a request: claim: Field required"),
    (b"[" * 4000, "not a request"),
    (b'{"claim": 1e999}', "not a request"),
    (b" " * (LARGEST + 1), f"at most {LARGEST} bytes"),
    (request(version=2), "not a request: version"),
    (request(more=1), "not a request: more"),
    (request(peer=["::1"]), "not a request: peer"),
    (request(peer=["localhost", 9, 0, 0]), "not an IPv6 address"),
    (request(peer=["::ffff:10.0.0.1", 9, 0, 0]), "only IPv6 has the option"),
    (request(peer=None), "say with peer="),
    (request(peer=["::1", 1 << 40, 0, 0]), "not a request: peer"),
    (request(peer=["::1", 0, 0, 0]), "is no port"),
])  # fmt: skip
def test_bad_requests(agent: str, bound: socket.socket, text: bytes, why: str) -> None:
    assert why in told(agent, text, bound.fileno())
    permitted(agent, bound)


def test_what_is_not_a_socket_to_mark(agent: str, bound: socket.socket, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        ipv4 = stack.enter_context(socket.socket(socket.AF_INET))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        unbound = stack.enter_context(socket.socket(socket.AF_INET6))
        folder = os.open(tmp_path, os.O_PATH)
        stack.callback(os.close, folder)
        pipe = os.pipe()
        for each in pipe:
            stack.callback(os.close, each)
        for descriptor, why in (
            (pipe[0], "not a socket"),
            (folder, "not a socket"),
            (ipv4.fileno(), "only IPv6 has the option"),
            (unix.fileno(), "not a TCP or UDP socket: AF_UNIX"),
            (listening.fileno(), "a listening socket sends nothing"),
            (unbound.fileno(), "has no source yet"),
        ):
            assert why in told(agent, request(), descriptor), why
    assert "brings one socket" in told(agent, request())
    assert "brings one socket" in told(agent, request(), bound.fileno(), bound.fileno())
    permitted(agent, bound)


def test_nothing_of_a_caller_stays_open(agent: str, bound: socket.socket) -> None:
    """However its request ends: a connection is closed when its process closes it."""
    for text in (request(), b"nonsense", b" " * (LARGEST + 1)):
        one, other = socket.socketpair()
        with other:
            told(agent, text, one.fileno())
            one.close()
            other.settimeout(10)
            assert other.recv(1) == b""
    reader, writer = os.pipe()
    told(agent, request(), bound.fileno(), writer)
    os.close(writer)
    with open(reader, "rb") as rest:
        assert rest.read() == b""

    reader, writer = os.pipe()
    assert "not a socket" in told(agent, request(), writer)
    os.close(writer)
    with open(reader, "rb") as rest:
        assert rest.read() == b""


def test_one_user_cannot_take_all_connections(
    agent: str, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(agent)) for _ in range(server.MOST_OF_A_USER)]
        with connect(agent) as one_more:
            answer = json.loads(one_more.recv(LARGEST))
        assert answer["error"] == f"too many requests of user {os.getuid()} at once"
        # Who asks nothing is told so, in time.
        assert "no request within 0.5 s" in json.loads(idle[0].recv(LARGEST))["error"]
    permitted(agent, bound)


def test_many_at_once_are_served_in_turn(agent: str) -> None:
    """More than a user may have open: who is told to come back does."""
    found: list[str] = []

    def one() -> None:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            found.append(outcome(agent, sock))

    with contextlib.ExitStack() as stack:
        for _ in range(server.MOST_OF_A_USER):
            stack.enter_context(connect(agent))
        threads = [threading.Thread(target=one) for _ in range(2 * server.MOST_OF_A_USER)]
        for each in threads:
            each.start()
        time.sleep(0.05)
        assert not found
    for each in threads:
        each.join()
    assert len(found) == len(threads)
    assert set(found) <= {"marked", NO_RIGHT}


def test_a_socket_that_lingers_delays_nobody(
    agent: str, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes it last waits for as long as its owner has said: the agent, once it has read."""
    closed = threading.Event()
    monkeypatch.setattr(server, "explain", lambda _: f"closed: {closed.wait(10)}")
    with lingering() as (sock, peer), connect(agent) as connection:
        socket.send_fds(connection, [b"nonsense"], [sock.fileno()])
        sock.close()
        closed.set()
        started = time.monotonic()
        for _ in range(5):
            permitted(agent, bound)
        assert time.monotonic() - started < 10
        # But for its owner, whose answer waits.
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(LARGEST)
        peer.close()
        connection.settimeout(10)
        assert b"closed: True" in connection.recv(LARGEST)


@contextlib.contextmanager
def lingering() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection whose last close waits for a minute, or until its peer is closed."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        sock = socket.create_connection(listener.getsockname()[:2])
        peer, _ = listener.accept()
        with peer, sock:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(1 << 16))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            yield sock, peer


def test_nor_does_one_that_nobody_reads(agent: str) -> None:
    """It is closed with the connection that it came by: of a user who has too many."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(agent)) for _ in range(server.MOST_OF_A_USER)]
        sock, _ = stack.enter_context(lingering())
        with connect(agent) as one_more:
            socket.send_fds(one_more, [request()], [sock.fileno()])
            sock.close()
            assert "too many requests" in json.loads(one_more.recv(LARGEST))["error"]
        # Who comes next is answered, too.
        with connect(agent) as another:
            another.settimeout(5)
            assert "too many requests" in json.loads(another.recv(LARGEST))["error"]
        assert len(idle) == server.MOST_OF_A_USER


def test_strangers_share_one_users_places(
    file: Path, tmp_path: Path, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are."""
    file.write_text(TEXT.format(user=STRANGER + 1))
    path = f"{tmp_path}/agent.sock"
    callers = iter(Caller(1, STRANGER - number, frozenset()) for number in range(1000))
    monkeypatch.setattr(Caller, "of", lambda _: next(callers))
    with serving(file, path), contextlib.ExitStack() as stack:
        assert outcome(path, bound) == f"user {STRANGER} may claim nothing here"
        for _ in range(server.MOST_OF_A_USER):
            stack.enter_context(connect(path))
        with connect(path) as one_more:
            assert json.loads(one_more.recv(LARGEST))["busy"]
        monkeypatch.setattr(Caller, "of", lambda _: Caller(1, STRANGER + 1, frozenset()))
        permitted(path, bound)


def test_it_ends_when_told_to_in_the_midst_of_it(file: Path) -> None:
    """With connections coming in for which it forks."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = f"{folder}/agent.sock"
        process = subprocess.Popen(
            [*UNSHARED, "--config", str(file), "--socket", path], stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            assert "listening" in process.stderr.readline()
            for _ in range(server.MOST_OF_A_USER + 40):
                stack.enter_context(connect(path))
            process.terminate()
            assert process.wait(10) == 0
            assert not os.path.exists(path)
        finally:
            process.kill()
            process.communicate()


def test_an_agent_that_is_swamped_is_busy(
    tmp_path: Path, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again for a while; and no other takes its place."""
    monkeypatch.setattr("din.inference.marking.request.PATIENCE", 0.3)
    path = f"{tmp_path}/agent.sock"
    with contextlib.closing(server.listen(path)) as listener, contextlib.ExitStack() as stack:
        listener.listen(0)
        stack.enter_context(connect(path))
        started = time.monotonic()
        with pytest.raises(AgentError, match="more to do than it can queue"):
            ask(path, bound, CLAIM, PEER)
        assert 0.1 < time.monotonic() - started < 2
        with pytest.raises(OSError, match="Address already in use"):
            server.listen(path)


def test_nobody_forges_lines_of_the_log(
    agent: str, bound: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert "forged" in told(agent, request(**{"a\nforged": 1}), bound.fileno())
    (record,) = caplog.records
    assert "forged" in record.getMessage()
    assert "\n" not in record.getMessage()


# ---- the process ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "why"), [
    ("tenant: other", "tenant: othr", r"permits\[1\]\.tenant: othr is not known; did you mean other\?"),
    ("services: [chat]", "services: [chit]", r"permits\[0\]\.services: chit is not known"),
    ("services: [chat]", "labels: [top]", r"permits\[0\]\.labels: top is not known"),
    ("users: [65533]", "users: [no-such-user]", r"permits\[1\]\.users: this host has no no-such-user"),
    ("users: [65533]", "groups: [no-such-group]", r"permits\[1\]\.groups: this host has no no-such-group"),
    ("users: [65533], ", "", r"permits\[1\]: permits nobody"),
    ("users: [65533]", "usrs: [65533]", r"permits\[1\]\.usrs: unknown field; did you mean users\?"),
])  # fmt: skip
def test_a_wrong_file_says_where(file: Path, old: str, new: str, why: str) -> None:
    text = TEXT.format(user=os.getuid())
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=why):
        config.load(file)


def test_no_file_is_taken_for_a_socket(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(OSError, match="Address already in use"):
        server.listen(str(file))
    assert file.read_text() == "precious"


def run_agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*UNSHARED, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_process_ends_where_it_can_do_nothing(file: Path, tmp_path: Path) -> None:
    nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    command = [*nothing, sys.executable, "-m", "din.inference.agent", "--config", str(file)]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", *command, "--socket", f"{tmp_path}/s"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "CAP_NET_RAW" in done.stderr) == (1, True)
    done = run_agent("--config", "/nowhere")
    assert (done.returncode, "/nowhere: No such file" in done.stderr) == (2, True)
    done = run_agent("--config", str(file), "--socket", "/nowhere/agent.sock")
    assert (done.returncode, "/nowhere/agent.sock" in done.stderr) == (1, True)


def test_one_process_listens(file: Path) -> None:
    """A socket that was left behind is taken over, and one that answers is not."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/agent.sock"
        arguments = ("--config", str(file), "--socket", path)
        left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        left.bind(path)
        left.close()
        process = subprocess.Popen(
            [*UNSHARED, *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            assert f"listening at {path}" in process.stderr.readline()
            done = run_agent(*arguments)
            assert (done.returncode, "Address already in use" in done.stderr) == (1, True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert not os.path.exists(path)
        finally:
            process.kill()
            process.communicate()
