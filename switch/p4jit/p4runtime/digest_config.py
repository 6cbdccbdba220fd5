# SPDX-License-Identifier: Apache-2.0
"""Which digests are sent, and how (P4Runtime 1.4.1, section "DigestEntry")."""

from __future__ import annotations

from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.operations import DELETE, INSERT, Operation, Undo
from p4jit.p4runtime.schema import Schema
from p4jit.p4runtime.status import exists, invalid, not_found
from p4jit.p4runtime.wire import ENTITY_DIGEST, entity


class DigestConfigStore:
    def __init__(self, schema: Schema) -> None:
        self._digests = schema.digests
        self._configs: dict[int, p4r.DigestEntry] = {}

    def config(self, digest_id: int) -> p4r.DigestEntry.Config | None:
        """None while the digest is not sent."""
        entry = self._configs.get(digest_id)
        return None if entry is None else entry.config

    def decode(self, kind: int, entry: p4r.DigestEntry) -> Operation:
        """Raises P4Error."""
        self._check(entry.digest_id)
        if kind == DELETE:
            return partial(self._set, kind, entry.digest_id, None)
        config = entry.config
        if min(config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns) < 0:
            raise invalid("a digest's timeouts and list size cannot be negative")
        # A copy: a part of the request would keep all of it in memory.
        return partial(
            self._set, kind, entry.digest_id, p4r.DigestEntry.FromString(entry.SerializeToString())
        )

    def _set(self, kind: int, digest_id: int, entry: p4r.DigestEntry | None, undo: Undo) -> None:
        old = self._configs.get(digest_id)
        name = self._digests[digest_id].name
        if kind == INSERT and old is not None:
            raise exists(f"digest {name} is already configured")
        if kind != INSERT and old is None:
            raise not_found(f"digest {name} is not configured")
        self._replace(digest_id, entry)
        if undo is not None:
            undo.append(partial(self._replace, digest_id, old))

    def _replace(self, digest_id: int, entry: p4r.DigestEntry | None) -> None:
        if entry is None:
            self._configs.pop(digest_id, None)
        else:
            self._configs[digest_id] = entry

    def read(self, entry: p4r.DigestEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        if entry.digest_id:
            self._check(entry.digest_id)
        return [
            entity(ENTITY_DIGEST, e.SerializeToString())
            for i, e in self._configs.items()
            if entry.digest_id in (0, i)
        ]

    def entries(self) -> list[p4r.DigestEntry]:
        return list(self._configs.values())

    def _check(self, digest_id: int) -> None:
        if digest_id == 0:
            raise invalid("digest_id must be set")
        if digest_id not in self._digests:
            raise not_found(f"the P4Info has no digest with id {digest_id:#x}")
