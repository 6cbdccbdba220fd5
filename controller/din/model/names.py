# SPDX-License-Identifier: Apache-2.0
"""The services' names, for hosts that ask by name: a hosts file, or a DNS zone (RFC 1035, 5; RFC 3596)."""

from __future__ import annotations

import re
import zlib
from typing import Final

from .network import Model

#: Seconds. Names move with an edit of the model, so what was learnt may not last long.
TTL: Final = 300
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def hosts_file(model: Model) -> str:
    """Lines of /etc/hosts."""
    lines = [f"{address}\t{service.dns}" for service in model.services for address in service.addresses]
    return f"# Services of {model.name}\n" + "".join(line + "\n" for line in lines)


def zone_file(model: Model, origin: str) -> str:
    """The zone ``origin``, with the services whose names are in it. ValueError: not a name.

    Its name server is `localhost`, whichever serves it. The serial is a checksum: another content has another
    one, though perhaps not a greater one.
    """
    origin = origin.rstrip(".").lower()
    if not _NAME.fullmatch(origin) or len(origin) > 253:
        raise ValueError(f"{origin!r} is not a DNS name, as in din.example")
    records = [
        f"{_relative(service.dns, origin)}\tIN\t{'A' if address.version == 4 else 'AAAA'}\t{address}\n"
        for service in model.services
        if service.dns == origin or service.dns.endswith(f".{origin}")
        for address in service.addresses
    ]
    serial = zlib.crc32("".join(records).encode())
    return (
        f"; Services of {model.name}\n"
        f"$ORIGIN {origin}.\n"
        f"$TTL {TTL}\n"
        f"@\tIN\tSOA\tlocalhost. root.localhost. {serial} 3600 600 86400 {TTL}\n"
        "@\tIN\tNS\tlocalhost.\n"
    ) + "".join(records)


def _relative(name: str, origin: str) -> str:
    return "@" if name == origin else name.removesuffix(f".{origin}")
