# SPDX-License-Identifier: Apache-2.0
"""Prefill somewhere else, in the scheme of vLLM's KV connectors and of the proxies before them.

The prefill server gets the client's request with ``max_tokens`` 1, no streaming and
``kv_transfer_params: {"do_remote_decode": true}``; it computes the prompt, keeps its KV cache, and says in
its answer's ``kv_transfer_params`` where that is: ``{"do_remote_prefill": true, "remote_engine_id": NAME,
"remote_host": ..., "remote_port": ..., "remote_request_id": HANDLE}``. Who decodes fetches it from there
(`kv.fetch`). A proxy that asks the prefill server itself hands these parameters on in its request.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from .http_client import post
from .kv import TransferError

#: s. A prompt may queue there.
_TIMEOUT: Final = 120.0
#: s for which a server that could not be reached is asked after the others.
_AVOIDED: Final = 10.0


@dataclass(frozen=True)
class Location:
    """Where a prompt's KV cache waits."""

    host: str
    port: int
    handle: str

    def params(self, engine: str) -> dict[str, Any]:
        """As ``kv_transfer_params``."""
        return {
            "do_remote_prefill": True,
            "do_remote_decode": False,
            "remote_engine_id": engine,
            "remote_host": self.host,
            "remote_port": self.port,
            "remote_request_id": self.handle,
        }

    @classmethod
    def of(cls, params: dict[str, Any]) -> Location | None:
        """None: they speak of none. ValueError names the field that is wrong."""
        if not params.get("do_remote_prefill"):
            return None
        fields: list[Any] = []
        for name, kind in (("remote_host", str), ("remote_port", int), ("remote_request_id", str)):
            if type(params.get(name)) is not kind:
                raise ValueError(f"{name}: {'a number' if kind is int else 'text'} is expected")
            fields.append(params[name])
        if not 0 < fields[1] < 65536:
            raise ValueError(f"remote_port: {fields[1]} is no port")
        return cls(*fields)


class Prefillers:
    """Servers that compute prompts: the one with the fewest of ours at a time, the next if it fails, and
    those that could not be reached a moment ago only then."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        # In an order that turns, so that ties do too.
        self._busy = dict.fromkeys((url.rstrip("/") for url in urls), 0)
        self._avoided: dict[str, float] = {}  # until when

    def __bool__(self) -> bool:
        return bool(self._busy)

    async def compute(self, path: str, fields: dict[str, Any], traceparent: str) -> Location:
        """``path`` and ``fields`` are the client's request. TransferError: none of them did it."""
        body = {
            name: value
            for name, value in fields.items()
            if name not in ("stream_options", "max_completion_tokens")
        }
        body |= {"stream": False, "max_tokens": 1, "kv_transfer_params": {"do_remote_decode": True}}
        data = json.dumps(body).encode()
        failures: list[str] = []
        for url in self._in_turn():
            self._busy[url] = self._busy.pop(url) + 1
            try:
                return await _ask(url + path, data, traceparent)
            except (OSError, ValueError) as error:
                failures.append(f"{url}: {str(error) or type(error).__name__}")
                if isinstance(error, OSError):
                    self._avoided[url] = time.monotonic() + _AVOIDED
            finally:
                self._busy[url] -= 1
        raise TransferError("; ".join(failures))

    def _in_turn(self) -> list[str]:
        now = time.monotonic()
        return sorted(self._busy, key=lambda url: (self._avoided.get(url, now) > now, self._busy[url]))


async def _ask(url: str, body: bytes, traceparent: str) -> Location:
    """OSError: it is not there. ValueError: it did not do it."""
    headers = [("Content-Type", "application/json"), ("traceparent", traceparent)]
    status, answer = await post(url, body, headers, _TIMEOUT)
    if status != 200:
        raise ValueError(f"it answered {status}: {answer[:200].decode(errors='replace')}")
    fields = json.loads(answer)
    params = fields.get("kv_transfer_params") if isinstance(fields, dict) else None
    location = Location.of(params) if isinstance(params, dict) else None
    if location is None:
        raise ValueError("it kept no KV cache: is it a prefill server?")
    return location
