# SPDX-License-Identifier: Apache-2.0
"""One request for tokens, from its admission to its last chunk."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

from . import api, kv
from .engine import Engine
from .http1 import Reply, Request
from .metrics import Metrics, Times
from .options import Options, Role
from .remote import Location, Prefillers
from .scheduler import Sequence
from .spans import Attributes, Context, Spans, context_of

_STREAM = "text/event-stream; charset=utf-8"
log = logging.getLogger(__name__)


@dataclass
class Parts:
    """What all requests of a server share."""

    options: Options
    engine: Engine
    metrics: Metrics
    spans: Spans
    outbox: kv.Outbox
    prefillers: Prefillers
    kv_port: int = 0
    #: Those under way.
    generations: set[Generation] = field(default_factory=set)


class Generation:
    """`start` it once; then the engine calls `token`, and it ends by itself, with its client, or by `cut`."""

    def __init__(self, parts: Parts, completion: api.Completion, request: Request, reply: Reply) -> None:
        self._parts = parts
        self._completion = completion
        self._request = request
        self._reply = reply
        self._context: Context = context_of(request.headers.get("traceparent"))
        self._created_ns = time.time_ns()
        self._created = self._created_ns // 1_000_000_000
        self._chunks = api.Chunks(completion, parts.options.served_models[0], self._created)
        self._sequence = Sequence(
            completion.prompt_tokens,
            completion.max_tokens,
            hold=bool(completion.kv.get("do_remote_decode")),
        )
        self._fetching: asyncio.Task[None] | None = None
        self._transfer: Attributes = {}

    def start(self) -> None:
        """Admits it. Raises ApiError or QueueFull where it is not: nothing is left of it then."""
        location = self._location()
        asks = self._parts.options.role is Role.DECODE and bool(self._parts.prefillers)
        remote = location is not None or asks
        self._parts.engine.submit(self._sequence, self, remote)
        self._parts.generations.add(self)
        self._reply.on_disconnect = self._drop
        if self._completion.stream:
            self._reply.start(_STREAM)
        if remote:
            self._fetching = asyncio.create_task(self._fetch(location))

    def _location(self) -> Location | None:
        """Where the request says that its KV cache is. ApiError: what it asks of KV caches cannot be."""
        if self._sequence.hold:
            if self._parts.options.role is not Role.PREFILL:
                raise _refusal("do_remote_decode: only a server of role prefill keeps KV caches for others")
            if self._completion.stream:
                raise _refusal(
                    "do_remote_decode: without stream, since the answer says where the KV cache is"
                )
        try:
            return Location.of(self._completion.kv)
        except ValueError as error:
            raise _refusal(str(error)) from None

    def token(self, sequence: Sequence) -> None:
        last = sequence.generated == sequence.max_tokens
        if last:
            self._finished()
        if self._completion.stream:
            data = self._chunks.token(sequence.generated - 1, self._completion.finish if last else None)
            if last:
                data += self._chunks.closing(sequence.generated)
            self._reply.write(data)
            if last:
                self._reply.end()
        elif last:
            self._answer()

    def cut(self) -> None:
        """Ends it before its time; the client sees its connection close."""
        self._drop()
        self._reply.cut()

    def _drop(self) -> None:
        """Gives up what it holds. The reply is somebody else's matter."""
        if self._fetching is not None:
            self._fetching.cancel()
        self._parts.generations.discard(self)
        self._parts.engine.abort(self._sequence)
        self._parts.metrics.aborted()

    def _finished(self) -> None:
        self._parts.generations.discard(self)
        times = Times.of(self._sequence)
        self._parts.metrics.finished(times, self._sequence, self._completion.finish)
        end = self._created_ns + round(times.e2e * 1e9)
        self._parts.spans.add(self._context, self._created_ns, end, self._attributes(times))

    def _answer(self) -> None:
        params = self._offer() if self._sequence.hold else None
        body = api.whole(self._completion, self._parts.options.served_models[0], self._created, params)
        self._reply.send(200, body, "application/json")

    def _offer(self) -> dict[str, object]:
        """Leaves the KV cache for who decodes."""
        options, sequence = self._parts.options, self._sequence
        self._parts.outbox.offer(
            self._completion.id, self._kv_bytes(), lambda: self._parts.engine.abort(sequence)
        )
        host = options.kv_host or self._request.local[0]
        return Location(host, self._parts.kv_port, self._completion.id).params(options.name)

    def _kv_bytes(self) -> int:
        """Of the prompt's KV cache, as they go over the wire."""
        options = self._parts.options
        size = options.profile.kv_bytes_per_token * self._completion.prompt_tokens * options.scale.bytes
        return max(round(size), 1)

    async def _fetch(self, location: Location | None) -> None:
        """Has the prompt computed elsewhere, unless it is, and gets its KV cache; or computes it here."""
        parts = self._parts
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            if location is None:
                location = await parts.prefillers.compute(
                    self._request.path, self._completion.fields, self._context.traceparent
                )
            asked = loop.time()
            size = self._kv_bytes()
            await kv.fetch((location.host, location.port), location.handle, size, parts.options.kv_dscp)
        except Exception as error:  # a request must not hang, whatever its peer does
            log.warning("%s: the prompt is computed here: %s", self._completion.id, str(error) or repr(error))
            parts.metrics.kv_failed()
            parts.engine.local(self._sequence)
            return
        seconds = loop.time() - asked
        parts.metrics.kv_received(size, seconds)
        self._transfer = {
            "din.remote_prefill.seconds": asked - begin,
            "din.kv_transfer.bytes": size,
            "din.kv_transfer.seconds": seconds,
        }
        parts.engine.loaded(self._sequence)

    def _attributes(self, times: Times) -> Attributes:
        completion, request = self._completion, self._request
        asked = {
            f"gen_ai.request.{name}": float(value)
            for name in ("temperature", "top_p")
            if (value := completion.fields.get(name)) is not None
        }
        return {
            "gen_ai.latency.time_to_first_token": times.ttft,
            "gen_ai.latency.e2e": times.e2e,
            "gen_ai.latency.time_in_queue": times.queue,
            "gen_ai.latency.time_in_model_prefill": times.prefill,
            "gen_ai.latency.time_in_model_decode": times.decode,
            "gen_ai.latency.time_in_model_inference": times.inference,
            "gen_ai.usage.prompt_tokens": completion.prompt_tokens,
            "gen_ai.usage.completion_tokens": self._sequence.generated,
            "gen_ai.request.id": completion.id,
            "gen_ai.request.max_tokens": completion.max_tokens,
            "gen_ai.request.n": 1,
            "gen_ai.response.model": self._parts.options.served_models[0],
            "network.transport": "tcp",
            "network.peer.address": request.peer[0],
            "network.peer.port": request.peer[1],
            "network.local.address": request.local[0],
            "network.local.port": request.local[1],
            **asked,
            **self._transfer,
        }


def _refusal(message: str) -> api.ApiError:
    return api.ApiError(400, f"kv_transfer_params.{message}", param="kv_transfer_params")
