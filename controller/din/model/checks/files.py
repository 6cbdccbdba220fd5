# SPDX-License-Identifier: Apache-2.0
"""What a model refers to outside of itself: keys, and files of TLS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as File
from typing import Final

from din.model.load import resolve_key
from din.model.network import Model
from din.model.problem import Path, Problem
from din.model.topology import Tls

#: Bytes of a PEM file that are looked at: of bundles, which have hundreds of certificates, the first.
_LARGEST: Final = 1 << 16


def check_files(model: Model, base: str | os.PathLike[str]) -> Iterator[Problem]:
    """Relative to ``base``, the folder of the model's file. Reads them."""
    for tenant_index, tenant in enumerate(model.tenants):
        for index, key in enumerate(tenant.keys):
            try:
                resolve_key(key, base)
            except ValueError as error:
                at: Path = ("tenants", tenant_index, "keys", index, "source")
                yield Problem(at, str(error), "as `openssl rand -hex 16` writes one")
    if model.management.tls:
        yield from _tls(("management", "tls"), model.management.tls, base)
    for index, switch in enumerate(model.switches):
        if switch.tls:
            yield from _tls(("switches", index, "tls"), switch.tls, base)


def _tls(at: Path, tls: Tls, base: str | os.PathLike[str]) -> Iterator[Problem]:
    for field, name in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        path = File(base) / name
        begins = "PRIVATE KEY-----" if field == "key" else "-----BEGIN CERTIFICATE-----"
        try:
            with path.open("rb") as file:
                text = file.read(_LARGEST)
        except OSError as error:
            yield Problem(
                (*at, field), f"{path}: {error.strerror}", "its place is relative to the model's file"
            )
            continue
        if begins.encode() not in text:
            kind = "private key" if field == "key" else "certificate"
            yield Problem((*at, field), f"{path} holds no {kind}", "in PEM")
