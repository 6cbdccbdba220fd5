# SPDX-License-Identifier: Apache-2.0
"""The connection to one switch: made, kept and made again, by one task that nothing else depends on.

Mastership is by term, never by bidding: the election ID is the leader's term in its upper 64 bits, so that a
newer leader always wins and an older one cannot come back. A switch refuses whatever a backup writes; beside
that, a backup does not try.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import finsy as fy
from finsy.proto import U128, p4r
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Struct

from din.p4rt import events, packet_io, pipeline
from din.p4rt.channel import Channel, TlsFiles, tls_problem
from din.p4rt.codec import Codec, UnknownEntityError
from din.p4rt.entry import State
from din.p4rt.program import Program
from din.p4rt.queue_probe import QueueProbe
from din.p4rt.queues import FULL
from din.packet.constants import CPU_PORT, Queue

LOG = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 5.0
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
#: Between signs of life that are asked for: a peer that has lost power, or its way to us, ends no stream.
_ALIVE_EVERY: Final = 2.0
#: What is waited for the number of a switch's queues: it takes milliseconds.
_QUEUES_SECONDS: Final = 0.5
_DECODED_AT_ONCE: Final = 2000
_OK, _ALREADY_EXISTS, _NOT_FOUND = (
    fy.GRPCStatusCode.OK,
    fy.GRPCStatusCode.ALREADY_EXISTS,
    fy.GRPCStatusCode.NOT_FOUND,
)


@dataclass(frozen=True)
class Target:
    """``address``: host:port of the P4Runtime server. ``can_reconcile``: it can take another program and
    keep the entries that fit (p4jit; not simple_switch_grpc)."""

    name: str
    address: str
    device_id: int = 1
    tls: TlsFiles | None = None
    can_reconcile: bool = False


class NotPrimaryError(RuntimeError):
    """The switch is not connected, or not ours: nothing was sent, or the switch refused it."""


class SwitchError(RuntimeError):
    """A switch does not do what it is asked to, or the connection broke meanwhile."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of the update at ``index`` of a batch."""

    index: int
    code: str
    message: str


class BatchError(SwitchError):
    """The switch refused some updates of a batch; it made the others."""

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = tuple(refusals)
        first = self.refusals[0]
        more = f", and {len(self.refusals) - 1} more" if len(self.refusals) > 1 else ""
        super().__init__(f"{first.code}: {first.message}{more}")


#: What a switch or the network does.
_EXPECTED: Final = (fy.P4ClientError, OSError, SwitchError, UnknownEntityError)


def election_id(term: int) -> int:
    """Above every ID of an earlier term, and above the default of p4runtime-shell (2^64) from term 1 on."""
    return term << 64 | 1


class Connection:
    """``run`` it as a task; everything else is for when it is up."""

    def __init__(self, target: Target, program: Program, term: int, on_event: events.OnEvent) -> None:
        """ValueError: no such term. 1 is the first."""
        _check_term(term)
        self.target = target
        self.program = program
        self.codec = Codec(program)
        self.term = term
        self._on_event = on_event
        self._channel: Channel | None = None
        self._primary = asyncio.Event()
        #: Counts the times that the switch became ours: what was known of it before is worth nothing.
        self.epoch = 0
        #: Of each port, as far as that is known.
        self.queues = FULL
        self._queue_probe = QueueProbe(program)
        self._counting: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._claims: asyncio.Queue[None] = asyncio.Queue()
        self._preparing: asyncio.Task[None] | None = None
        self._when_primary: list[Callable[[], None]] = []

    def when_primary(self, call: Callable[[], None]) -> None:
        """Have ``call`` called each time that the switch becomes ours."""
        self._when_primary.append(call)

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_up(self) -> bool:
        return self._channel is not None

    @property
    def is_primary(self) -> bool:
        """Connected, the switch ours, and running the program."""
        return self._primary.is_set()

    @property
    def reason(self) -> str:
        """Why it is not primary."""
        if self.is_primary:
            return ""
        if self.is_up:
            return self._reason or "the switch is another controller's"
        return self._reason or "not connected yet"

    async def primary(self) -> None:
        """Wait until it is."""
        await self._primary.wait()

    # ---- life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is cancelled."""
        wait = _FIRST_WAIT
        while True:
            epoch = self.epoch
            reason = "closed"
            try:
                await self._serve()
            except* _EXPECTED as group:
                reason = await self._explain(_first(group))
            except* Exception as group:
                # A mistake of ours: this switch is tried again like any other, and no other is concerned.
                LOG.error("%s: the connection failed", self.name, exc_info=group)
                reason = repr(_first(group))
            was_up, self._channel = self._channel is not None, None
            if was_up or reason != self._reason:
                self._reason = reason
                self._tell(events.Down(self.name, reason))
            if self.epoch != epoch:
                wait = _FIRST_WAIT
            # Switches that were lost together do not come back together.
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)

    def raise_term(self, term: int) -> None:
        """Claim the switch in a newer term. ValueError: it is not newer."""
        if term <= self.term:
            raise ValueError(f"term {term} is not above {self.term}")
        _check_term(term)
        self.term = term
        # Until the switch has heard of it, it refuses what is written in the new term.
        self._stop_writing()
        self._claims.put_nowait(None)

    async def _serve(self) -> None:
        """One connection, until it ends, always by an exception."""
        channel = Channel(self.target.address, self.target.tls)
        self._claims = asyncio.Queue()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await channel.open()
                await self._claim(channel)
                first = await channel.receive()
            self._channel = channel
            self._reason = None
            self._tell(events.Up(self.name))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._claim_again(channel))
                tasks.create_task(self._stay(channel))
                self._take(first, channel, tasks)
                while True:
                    self._take(await channel.receive(), channel, tasks)
        finally:
            self._stop_writing()
            await channel.close()

    async def _claim_again(self, channel: Channel) -> None:
        while True:
            await self._claims.get()
            await self._claim(channel)

    async def _stay(self, channel: Channel) -> None:
        while True:
            await asyncio.sleep(_ALIVE_EVERY)
            # One that compiles a program may answer nothing else meanwhile; that has a deadline of its own.
            if self._preparing is None:
                await channel.alive()

    async def _claim(self, channel: Channel) -> None:
        update = p4r.MasterArbitrationUpdate(
            device_id=self.target.device_id, election_id=U128.encode(election_id(self.term))
        )
        await channel.send(p4r.StreamMessageRequest(arbitration=update))

    def _stop_writing(self) -> bool:
        """Whether the switch was ours, or about to be."""
        was = self.is_primary or self._preparing is not None
        self._primary.clear()
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
        return was

    async def _explain(self, error: BaseException) -> str:
        if isinstance(error, fy.P4ClientError):
            tls = self.target.tls
            if error.code is fy.GRPCStatusCode.UNAVAILABLE and tls is not None:
                problem = await tls_problem(self.target.address, tls)
                if problem is not None:
                    return problem
            # No code of its own: INVALID_ARGUMENT, and each server has its words.
            if "election id" in error.message.lower() and error.code is fy.GRPCStatusCode.INVALID_ARGUMENT:
                return f"another controller has the election ID of term {self.term}: two leaders in one term"
            return f"{error.code.name}: {error.message}"
        if isinstance(error, TimeoutError):
            return f"{self.target.address} does not answer"
        return str(error)

    # ---- the stream ----------------------------------------------------------------------------------------

    def _take(self, message: p4r.StreamMessageResponse, channel: Channel, tasks: asyncio.TaskGroup) -> None:
        match message.WhichOneof("update"):
            case "arbitration":
                self._arbitrated(message.arbitration, channel, tasks)
            case "packet":
                packet = packet_io.decode_packet_in(self.program, self.name, message.packet)
                if not self._queue_probe.take(packet):
                    self._tell(packet)
            case "digest":
                self._digest(message.digest, channel, tasks)
            case "idle_timeout_notification":
                timeout = message.idle_timeout_notification
                keys = tuple(map(self.codec.key, timeout.table_entry))
                self._tell(events.IdleTimeout(self.name, timeout.timestamp, keys))
            case "error":
                error = message.error
                self._tell(events.StreamError(self.name, f"{_code(error.canonical_code)}: {error.message}"))
            case "other":
                self._other(message.other)

    def _arbitrated(
        self, update: p4r.MasterArbitrationUpdate, channel: Channel, tasks: asyncio.TaskGroup
    ) -> None:
        highest = U128.decode(update.election_id)
        # simple_switch_grpc says OK to whom it makes primary, and to nobody else, whatever the ID in its
        # answer.
        if update.status.code == _OK:
            if self._preparing is None and not self.is_primary:
                self._preparing = tasks.create_task(self._prepare(channel, tasks))
            return
        was = self._stop_writing()
        term = highest >> 64
        if update.status.code == _NOT_FOUND:
            self._reason = f"the switch is nobody's, and was another controller's in term {term}"
            self._tell(events.NoPrimary(self.name, term))
        elif update.status.code == _ALREADY_EXISTS:
            self._reason = f"the switch is another controller's, in term {term}"
            self._tell(events.BecameBackup(self.name, term))
        else:
            raise SwitchError(f"arbitration answers {_code(update.status.code)}: {update.status.message}")
        if was:
            LOG.warning("%s: %s", self.name, self._reason)

    async def _prepare(self, channel: Channel, tasks: asyncio.TaskGroup) -> None:
        target = self.target
        pushed = await pipeline.ensure(
            channel, self.program, target.device_id, election_id(self.term), target.can_reconcile
        )
        if QueueProbe.is_possible(self.program):
            if self._counting is None or self._counting.done():
                self._counting = tasks.create_task(self._count_queues(channel))
            # What is written next depends on it; but a switch whose CPU port is not ours can be written too.
            await asyncio.wait({self._counting}, timeout=_QUEUES_SECONDS)
        self._preparing = None
        self._reason = None
        self.epoch += 1
        self._primary.set()
        for call in self._when_primary:
            call()
        self._tell(events.BecamePrimary(self.name, pushed))

    async def _count_queues(self, channel: Channel) -> None:
        async def send(packet: p4r.PacketOut) -> None:
            await channel.send(p4r.StreamMessageRequest(packet=packet))

        found = await self._queue_probe.count(send)
        if found is None:
            LOG.warning(
                "%s: its queues cannot be counted, since nothing comes back through port %d; is that its CPU "
                "port? %d queues are assumed",
                self.name,
                CPU_PORT,
                self.queues,
            )
        elif found != self.queues:
            self.queues = found
            self._tell(events.QueuesCounted(self.name, found))

    def _digest(self, digest: p4r.DigestList, channel: Channel, tasks: asyncio.TaskGroup) -> None:
        ack = p4r.DigestListAck(digest_id=digest.digest_id, list_id=digest.list_id)
        tasks.create_task(channel.send(p4r.StreamMessageRequest(digest_ack=ack)))
        name = self.program.digests.get(digest.digest_id, f"{digest.digest_id:#x}")
        self._tell(events.Digest(self.name, name, digest.timestamp, tuple(digest.data)))

    def _other(self, other: Any) -> None:
        """p4jit's word for a port's state, for which P4Runtime has no message."""
        found = Struct()
        if not other.Unpack(found):
            return
        port, up = found.fields["port"], found.fields["up"]
        if port.HasField("number_value") and up.HasField("bool_value"):
            self._tell(events.PortChanged(self.name, int(port.number_value), up.bool_value))

    def _tell(self, event: events.Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            # A listener's mistake is not the switch's.
            LOG.exception("%s: a listener failed at %s", self.name, type(event).__name__)

    # ---- requests ------------------------------------------------------------------------------------------

    async def read(self, entities: Iterable[p4r.Entity]) -> AsyncIterator[p4r.ReadResponse]:
        """NotPrimaryError, SwitchError."""
        channel = self._ours()
        request = p4r.ReadRequest(device_id=self.target.device_id, entities=entities)
        with self._errors():
            async for reply in channel.request_iter(request):
                yield reply

    async def read_state(self) -> State:
        """All that the switch has, the program's own entries left out. NotPrimaryError, SwitchError."""
        state: State = {}
        async for reply in self.read(self.codec.everything()):
            # A switch may answer with all that it has in one message; nobody else is to wait for that.
            for start in range(0, len(reply.entities), _DECODED_AT_ONCE):
                try:
                    self.codec.decode_into(state, reply.entities[start : start + _DECODED_AT_ONCE])
                except UnknownEntityError as error:
                    raise SwitchError(f"{self.name}: {error}") from None
                await asyncio.sleep(0)
        return state

    async def write(self, request: p4r.WriteRequest) -> None:
        """``request`` needs its updates alone. NotPrimaryError, BatchError, SwitchError."""
        channel = self._ours()
        request.device_id = self.target.device_id
        request.election_id.CopyFrom(U128.encode(election_id(self.term)))
        with self._errors():
            await channel.request(request)

    async def packet_out(self, port: int, payload: bytes, *, tenant: int = 0, submit: bool = False) -> None:
        """Send a packet out of ``port``, before all that waits there: a link must not look dead because it is
        full. With ``submit`` have it processed as one that came in, of ``tenant``.

        NotPrimaryError, SwitchError; ValueError: a number that does not fit."""
        queue = min(Queue.CONTROL, self.queues - 1)
        fields = {"port": port, "submit_to_ingress": int(submit), "tenant": tenant, "queue": queue}
        packet = packet_io.encode_packet_out(self.program, payload, **fields)
        channel = self._ours()
        with self._errors():
            await channel.send(p4r.StreamMessageRequest(packet=packet))

    def _ours(self) -> Channel:
        if self._channel is None or not self.is_primary:
            raise NotPrimaryError(f"{self.name}: {self.reason}")
        return self._channel

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except fy.P4ClientError as error:
            if error.details:
                refusals = sorted(error.details.items())
                raise BatchError(Refusal(i, e.canonical_code.name, e.message) for i, e in refusals) from None
            text = f"{self.name}: {error.code.name}: {error.message}"
            if error.code is fy.GRPCStatusCode.PERMISSION_DENIED:
                raise NotPrimaryError(text) from None
            raise SwitchError(text) from None
        except ConnectionError as error:
            raise SwitchError(f"{self.name}: {error}") from None


def _code(number: int) -> str:
    """A status code's name (google.rpc.Code)."""
    try:
        return fy.GRPCStatusCode(number).name
    except ValueError:
        return str(number)


def _check_term(term: int) -> None:
    if not 1 <= term < 1 << 64:
        raise ValueError(f"a term is 1 or more, in 64 bits, not {term}")


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
