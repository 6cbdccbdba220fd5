# SPDX-License-Identifier: Apache-2.0
"""Read responses put together from entities that are already serialized.

Stores keep what they hold as protobuf wire format: it is small, and a read of a million entries copies
bytes instead of building messages. Concatenated encodings of one message type merge, so that volatile
fields (counters, idle times) are appended to an entry when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: Field numbers in p4.v1.Entity.
ENTITY_TABLE_ENTRY = 2
ENTITY_MEMBER = 3
ENTITY_GROUP = 4
ENTITY_METER = 5
ENTITY_DIRECT_METER = 6
ENTITY_COUNTER = 7
ENTITY_DIRECT_COUNTER = 8
ENTITY_REPLICATION = 9
ENTITY_VALUE_SET = 10
ENTITY_REGISTER = 11
ENTITY_DIGEST = 12

_LENGTH_DELIMITED = 2
#: Clients take 4 MiB a message unless told otherwise; a response ends with the entity that reaches this.
_RESPONSE_BYTES = 1 << 20


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = tuple(varint(n) for n in range(1 << 14))


def entity(field: int, body: bytes) -> bytes:
    """An element of ReadResponse.entities: the Entity whose ``field`` is the message ``body``."""
    size = len(body)
    length = _SHORT[size] if size < len(_SHORT) else varint(size)
    inner = size + 1 + len(length)
    outer = _SHORT[inner] if inner < len(_SHORT) else varint(inner)
    # Field 1 of ReadResponse; field numbers up to 15 take one byte.
    return b"\x0a" + outer + bytes((field << 3 | _LENGTH_DELIMITED,)) + length + body


def responses(entities: Iterable[bytes]) -> Iterator[bytes]:
    """Serialized ReadResponse messages of bounded size."""
    chunk: list[bytes] = []
    size = 0
    for element in entities:
        chunk.append(element)
        size += len(element)
        if size >= _RESPONSE_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)
