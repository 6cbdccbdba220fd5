# SPDX-License-Identifier: Apache-2.0
"""One request through the official `openai` client, and what came of it.

The client is the one that applications use, retries off. The answer is read through its raw streaming
interface: to build an object of every chunk costs it as much as all the rest, and generators share a machine
with the network that they measure. Two things are looked at from beside: httpcore's trace tells when a
connection is made and by which port, which an answer that never comes would not; and the response names the
instance (header ``x-din-instance``, else the chunks' ``system_fingerprint``).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextvars import ContextVar
from operator import index
from typing import Any, Final

import httpx2
import openai
from openai import AsyncOpenAI

from . import outcome as status
from .events import EventSplitter
from .outcome import Outcome
from .prompt import prompt
from .request import Request

INSTANCE_HEADER: Final = "x-din-instance"
#: s. Linux sends a SYN again after 1, 3 and 7 s: a connection that needs longer is no longer interactive.
CONNECT_TIMEOUT: Final = 10.0

#: (local address, port), (remote address, port)
_Ends = tuple[tuple[str, int], tuple[str, int]]

#: Whose exchange the running task is.
_current: ContextVar[Outcome] = ContextVar("din-exchange")


#: What an answer that is no chat completion leads to.
_NO_COMPLETION: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class ServerError(Exception):
    """An error that came as an event, after the headers had said 200."""


class Exchanger:
    """Sends requests, each over a new connection, or over kept ones where the request says so.

    ``clock`` gives seconds since the run's start; ``timeout`` is s for a whole answer.
    """

    def __init__(self, clock: Callable[[], float], *, timeout: float, byte_scale: float = 1.0) -> None:
        self._clock = clock
        self._timeout = timeout
        self._byte_scale = byte_scale
        self._tls = httpx2.create_ssl_context(trust_env=False)
        self._http = {
            # A server may close an idle connection; this side never does.
            True: self._pool(
                httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
            ),
            False: self._pool(httpx2.Limits(max_connections=None, max_keepalive_connections=0)),
        }
        self._clients: dict[tuple[str, bool], AsyncOpenAI] = {}
        self._connections: dict[_Ends, int] = {}  # the latest between them
        self._opened = 0

    async def warm_up(self) -> None:
        """Has the client load what it loads with its first request, which else would be late."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
            for keep_alive in (False, True):
                await self.send(Request(0, "", 1, 1, keep_alive, ""), url, "")

    def _pool(self, limits: httpx2.Limits) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            limits=limits,
            verify=self._tls,  # one for both: reading the certificates takes longest
            # How long an answer takes is bounded as a whole, in `send`.
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT),
            event_hooks={"request": [self._watch], "response": [self._answered]},
            trust_env=False,  # a proxy of the environment has no place between
        )

    async def _watch(self, request: httpx2.Request) -> None:
        request.extensions["trace"] = self._trace

    async def _answered(self, response: httpx2.Response) -> None:
        # Here, since a rejection's connection is closed by the time that the client raises it.
        found = _current.get()
        self._connected(found, response.extensions["network_stream"])
        found.instance = response.headers.get(INSTANCE_HEADER)

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            stream = info["return_value"]
            self._opened += 1
            self._connections[_ends(stream)] = self._opened
            self._connected(_current.get(), stream)

    def _connected(self, found: Outcome, stream: Any) -> None:
        ends = _ends(stream)
        (found.local_address, found.local_port), (found.remote_address, found.remote_port) = ends
        found.connection = self._connections.get(ends)

    def _client(self, base_url: str, keep_alive: bool) -> AsyncOpenAI:
        key = (base_url, keep_alive)
        if key not in self._clients:
            self._clients[key] = AsyncOpenAI(
                base_url=base_url, api_key="none", max_retries=0, http_client=self._http[keep_alive]
            )
        return self._clients[key]

    async def send(self, request: Request, base_url: str, model: str) -> Outcome:
        """Never raises for what the network or the server does. Cancelled, it returns what there is: a
        request that the run's end cut is part of the run."""
        text = prompt(request, self._byte_scale)
        client = self._client(base_url, request.keep_alive)
        found = Outcome(
            id=request.id,
            service=request.service,
            phase=request.phase,
            scheduled=request.at_seconds,
            prompt_tokens=request.prompt_tokens,
            asked_tokens=request.output_tokens,
            sent=self._clock(),
        )
        _current.set(found)
        try:
            async with asyncio.timeout(self._timeout):
                await self._stream(client, model, text, request.output_tokens, found)
        except TimeoutError:
            found.status = status.TIMEOUT
        except openai.APIStatusError as error:
            found.status, found.detail = str(error.status_code), _describe(error)
        except openai.APIConnectionError as error:
            self._failed(found, error.__cause__ or error)
        except (httpx2.TransportError, OSError) as error:
            self._failed(found, error)
        except (openai.OpenAIError, httpx2.HTTPError, ServerError, *_NO_COMPLETION) as error:
            found.status, found.detail = status.ERROR, _describe(error)
        except asyncio.CancelledError:
            found.status = status.CUT
        found.end = self._clock()
        found.output_tokens = found.output_tokens or found.chunks
        if found.first_token is not None and found.last_token is not None:
            if found.chunks > 1:
                found.gap_mean = (found.last_token - found.first_token) / (found.chunks - 1)
            if found.status != status.OK:
                # It waited for a token that did not come: as long, at least.
                found.gap_max = max(found.gap_max or 0.0, found.end - found.last_token)
        return found

    def _failed(self, found: Outcome, error: BaseException) -> None:
        # Httpcore knows the ports of a kept connection only once it answers: no port does not mean not
        # connected.
        unconnected = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
        found.status = status.CONNECT if unconnected else status.BROKEN
        found.broken = not unconnected
        found.detail = _describe(error)

    async def _stream(self, client: AsyncOpenAI, model: str, text: str, tokens: int, found: Outcome) -> None:
        async with client.chat.completions.with_streaming_response.create(
            model=model,
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            stream=True,
            stream_options={"include_usage": True},
        ) as response:
            splitter = EventSplitter()
            finished = False
            # To the end of the body, not just to [DONE]: only then can the connection be kept.
            async for received in response.iter_bytes():
                now = self._clock()
                for data in splitter.feed(received):
                    finished = (data != b"[DONE]" and _chunk(found, json.loads(data), now)) or finished
        # Where the end of the connection is the end of the body, a broken one looks complete to HTTP.
        found.broken = not finished
        found.status = status.OK if finished else status.BROKEN

    async def aclose(self) -> None:
        for client in self._http.values():
            await client.aclose()


def _ends(stream: Any) -> _Ends:
    # Of an IPv6 address there is more, which names nothing here.
    return stream.get_extra_info("client_addr")[:2], stream.get_extra_info("server_addr")[:2]


def _chunk(found: Outcome, chunk: Any, now: float) -> bool:
    """Counts a chunk of a chat completion. True: it says that the answer is finished."""
    if "error" in chunk:
        raise ServerError(str(chunk["error"]))
    if found.instance is None and isinstance(fingerprint := chunk.get("system_fingerprint"), str):
        found.instance = fingerprint
    if usage := chunk.get("usage"):
        found.output_tokens = index(usage["completion_tokens"])
    finished = False
    for choice in chunk["choices"]:
        if choice["delta"].get("content"):
            if found.last_token is None:
                found.first_token = now
            else:
                found.gap_max = max(found.gap_max or 0.0, now - found.last_token)
            found.last_token = now
            found.chunks += 1
        finished = finished or choice.get("finish_reason") is not None
    return finished


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
