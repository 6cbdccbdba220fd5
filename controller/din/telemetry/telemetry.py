# SPDX-License-Identifier: Apache-2.0
"""All of it together: what arrives is decoded, counted, joined, and fed to `Measurements`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import numpy as np

from din.measure.schedule import every
from din.measure.store import Measurements
from din.model.ids import Ids
from din.model.network import Model
from din.model.wiring import Wiring

from . import facts
from .decode import decode
from .directory import UNKNOWN, Directory
from .facts import Fact
from .hops import observations
from .journal import Journal
from .receiver import OTLP_PORT, ReportSocket, SpanServer
from .sequences import Sequences
from .spans import Span
from .split import latency
from .tally import Tally
from .ttft import KEEP_SECONDS, Responses, token_reports

log = logging.getLogger(__name__)

#: Seconds between attempts to listen where that failed, and to forget what is old.
_RETRY_SECONDS: Final = 5.0
_Address = tuple[IPv4Address, int]


class Telemetry:
    """``async with telemetry.running()``. All of it is for the loop's thread.

    ``journal``: a file for facts as JSON lines. ``otlp_port`` 0 takes any, as a collector's port 0 does.
    """

    def __init__(
        self,
        model: Model,
        ids: Ids,
        wiring: Wiring,
        measurements: Measurements,
        journal: Path | None = None,
        otlp_port: int = OTLP_PORT,
    ) -> None:
        self.tally = Tally()
        self.sequences = Sequences()
        self.responses = Responses()
        self._measurements = measurements
        self._journal = None if journal is None else Journal(journal)
        self._otlp_port = otlp_port
        self._listeners: list[Callable[[Fact], None]] = []
        self._sockets: dict[_Address, ReportSocket] = {}
        self._spans = SpanServer(self.take_spans)
        self._open_spans: IPv4Address | None = None
        self._failed: dict[object, str] = {}
        self._running = False
        self.set(model, ids, wiring)

    def set(self, model: Model, ids: Ids, wiring: Wiring) -> None:
        """Names are those of this revision from now on. Its collectors are listened to within seconds."""
        self.directory = Directory(model, ids, wiring)
        self._failed.pop("senders", None)
        if self._running:
            self._listen()

    # ---- life ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens in the block. A port that is taken is tried again, and said once."""
        self._running = True
        await self._tend()
        tending = asyncio.create_task(every(_RETRY_SECONDS, self._tend, _RETRY_SECONDS), name="telemetry")
        try:
            yield
        finally:
            self._running = False
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
            for each in self._sockets.values():
                each.close()
            self._sockets.clear()
            await self._spans.close()
            self._open_spans = None

    async def _tend(self) -> None:
        self._listen()
        self.responses.expire(time.time())
        # Spans are read for what reports are joined with.
        address = self.directory.wiring.controller_address if self._addresses() else None
        if self._open_spans == address:
            return
        await self._spans.close()
        self._open_spans = None
        if address is None:
            return
        try:
            await self._spans.open(address, self._otlp_port)
        except OSError as error:
            self._say("spans", f"no spans are taken at {address}:{self._otlp_port}: {error}")
        else:
            self._open_spans = address
            self._failed.pop("spans", None)

    def _listen(self) -> None:
        wanted = set(self._addresses())
        for gone in self._sockets.keys() - wanted:
            self._sockets.pop(gone).close()
        for where in wanted - self._sockets.keys():
            address, port = where
            try:
                self._sockets[where] = ReportSocket(address, port, self.take_reports, self._believes)
            except OSError as error:
                self._say(where, f"no reports are taken at {address}:{port}: {error}")
            else:
                self._failed.pop(where, None)

    def _addresses(self) -> list[_Address]:
        """Of collectors, as switches are told them."""
        model = self.directory.model
        return [
            (each.ip, collector.port)
            for collector in model.telemetry.collectors
            for each in [next(a for a in model.host[collector.host].addresses if a.version == 4)]
            if isinstance(each.ip, IPv4Address)
        ]

    def _believes(self, sender: str) -> bool:
        """A leaf lets no host use these addresses, so that none can make up reports."""
        if sender in self.directory.report_sources:
            return True
        self.tally.strangers += 1
        if "senders" not in self._failed:
            network = self.directory.model.fabric.report_sources
            self._say("senders", f"reports from {sender} are not taken: it is no switch's in {network}")
        return False

    def _say(self, what: object, message: str) -> None:
        if self._failed.get(what) != message:
            log.warning("%s", message)
        self._failed[what] = message

    @property
    def report_ports(self) -> list[int]:
        """Where reports are listened for."""
        return [each.port for each in self._sockets.values()]

    @property
    def span_port(self) -> int:
        """Where spans are taken; 0: nowhere."""
        return self._spans.port

    # ---- what arrives --------------------------------------------------------------------------------------

    def take_reports(self, datagrams: list[bytes]) -> None:
        """Payloads of UDP."""
        now, at = time.monotonic(), time.time()
        batch = decode(datagrams)
        self.tally.datagrams += len(datagrams)
        self.tally.batch(batch, self.directory)
        groups = batch.groups
        known = np.isin(groups.node, list(self.directory.nodes))
        self.tally.strangers += int((~known).sum())
        self.sequences.observe(
            groups.node[known].tolist(), groups.hw_id[known].tolist(), groups.sequence[known].tolist()
        )
        for key, extra in observations(batch, self.directory):
            self._measurements.network.observe(key, extra, now)
        found: list[Fact] = []
        if batch.reports.event.any():
            measured = self._measurements.measured(now)
            for report in token_reports(batch, self.directory, at):
                self.tally.done(report)
                response = self.responses.report(report)
                if response is not None:
                    self.tally.first_token(response, report.place)
                    if response.load is None and response.instance is not None:
                        response.load = measured.instance(response.instance).load
                found.append(facts.tokens(report))
        if self._journal is not None or self._listeners:
            self._tell([*facts.facts(batch, self.directory, at), *found])

    def take_spans(self, spans: list[Span]) -> None:
        """Those of servers that are no instance's, or whose clock is far off, are counted, and left."""
        instances, now = self.directory.model.instance, time.time()
        for span in spans:
            known = instances.get(span.instance)
            self.tally.spans[known.name if known else UNKNOWN] += 1
            if known is not None and abs(now - span.start) < KEEP_SECONDS:
                self.responses.span(span, known.service, known.name)
        if self._journal is not None or self._listeners:
            self._tell([facts.Request(now, each) for each in spans])

    def _tell(self, found: list[Fact]) -> None:
        if self._journal is not None:
            self._journal.write(facts.to_json(each) for each in found)
        for each in found:
            for listener in list(self._listeners):
                listener(each)

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        """Called with each fact from now on, until what is returned is called."""
        self._listeners.append(listener)

        def leave() -> None:
            self._listeners.remove(listener)

        return leave

    # ---- what is known -------------------------------------------------------------------------------------

    @property
    def received(self) -> int:
        """Datagrams of reports."""
        return self.tally.datagrams

    @property
    def lost(self) -> int:
        """Reports that numbers say were sent and did not come."""
        return self.sequences.lost

    def latency(self, since: float = 0.0) -> dict[str, Any]:
        """``since``: Unix time. By service, in us (`din.telemetry.split`)."""
        return {
            "since": since,
            "unit": "us",
            "services": latency(self.responses.since(since)),
        }
