# SPDX-License-Identifier: Apache-2.0
"""Digest messages gathered into lists, and not sent again until acknowledged (P4Runtime 1.4.1,
"DigestEntry")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from finsy.proto import p4d, p4r

from p4jit.p4runtime.objects import DigestSchema

#: Lists await acknowledgement for as long as the client says; the memory they take is bounded.
_MAX_CACHED = 65_536
#: Messages of one list when the client sets no limit.
_MAX_LIST = 1024

Config = p4r.DigestEntry.Config


@dataclass(slots=True)
class _Buffer:
    """``messages`` is in order of arrival; a dict, for its keys are distinct."""

    messages: dict[bytes, None] = field(default_factory=dict)
    first: int = 0


@dataclass(slots=True)
class _Sent:
    digest_id: int
    messages: frozenset[bytes]
    expires: int


class DigestLists:
    """Pure logic: times are nanoseconds of any one clock, given by the caller."""

    def __init__(self, digests: Mapping[int, DigestSchema]) -> None:
        self._digests = digests
        self._buffers: dict[int, _Buffer] = {}
        self._sent: dict[int, _Sent] = {}
        self._cached: dict[int, dict[bytes, int]] = {}
        self._next_list = 1

    def add(self, digest_id: int, data: bytes, config: Config, now: int) -> p4r.DigestList | None:
        """A message of the data plane. Returns the list it completes, if it does."""
        self._expire(now)
        if data in self._cached.get(digest_id, ()):
            return None
        buffer = self._buffers.setdefault(digest_id, _Buffer())
        if data in buffer.messages:
            return None
        if not buffer.messages:
            buffer.first = now
        buffer.messages[data] = None
        if config.max_timeout_ns == 0 or len(buffer.messages) >= (config.max_list_size or _MAX_LIST):
            return self._flush(digest_id, config, now)
        return None

    def due(self, configs: Mapping[int, Config], now: int) -> Iterator[p4r.DigestList]:
        """Lists whose time has come. A digest that is no longer configured loses its messages."""
        self._expire(now)
        for digest_id in list(self._buffers):
            config = configs.get(digest_id)
            if config is None:
                del self._buffers[digest_id]
            elif now - self._buffers[digest_id].first >= config.max_timeout_ns:
                yield self._flush(digest_id, config, now)

    def deadline(self, configs: Mapping[int, Config]) -> int | None:
        """When `due` next has something to give."""
        times = [b.first + configs[i].max_timeout_ns for i, b in self._buffers.items() if i in configs]
        return min(times, default=None)

    def acknowledge(self, digest_id: int, list_id: int) -> None:
        sent = self._sent.get(list_id)
        if sent is not None and sent.digest_id == digest_id:
            self._forget(list_id)

    def clear(self) -> None:
        """The client has changed: nothing is outstanding."""
        self._sent.clear()
        self._cached.clear()

    def _flush(self, digest_id: int, config: Config, now: int) -> p4r.DigestList:
        messages = list(self._buffers.pop(digest_id).messages)
        list_id = self._next_list
        self._next_list += 1
        if config.ack_timeout_ns and sum(map(len, self._cached.values())) + len(messages) <= _MAX_CACHED:
            self._sent[list_id] = _Sent(digest_id, frozenset(messages), now + config.ack_timeout_ns)
            cache = self._cached.setdefault(digest_id, {})
            cache.update(dict.fromkeys(messages, list_id))
        schema = self._digests[digest_id]
        return p4r.DigestList(
            digest_id=digest_id, list_id=list_id, data=[_decode(schema, message) for message in messages]
        )

    def _expire(self, now: int) -> None:
        for list_id in [i for i, sent in self._sent.items() if now >= sent.expires]:
            self._forget(list_id)

    def _forget(self, list_id: int) -> None:
        sent = self._sent.pop(list_id)
        cache = self._cached.get(sent.digest_id, {})
        for message in sent.messages:
            if cache.get(message) == list_id:
                del cache[message]


def _decode(schema: DigestSchema, message: bytes) -> p4d.P4Data:
    """Fields are big-endian in whole bytes, one after the other."""
    values = []
    position = 0
    for width in schema.widths:
        size = (width + 7) // 8
        values.append(int.from_bytes(message[position : position + size], "big") & ((1 << width) - 1))
        position += size
    return schema.codec.encode(iter(values))
