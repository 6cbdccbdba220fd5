# SPDX-License-Identifier: Apache-2.0
"""Controller headers: packet metadata to and from the bits in front of a frame (P4Runtime 1.4.1,
"Packet I/O")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from finsy.proto import p4r

from p4jit.p4runtime.objects import MetadataField
from p4jit.p4runtime.status import P4Error, invalid


class ControllerHeader:
    """One of the headers that P4Info calls packet_in and packet_out. Without fields it is empty."""

    def __init__(self, fields: Sequence[MetadataField]) -> None:
        self._fields = tuple(fields)
        bits = sum(f.width for f in self._fields)
        self.size = bits // 8
        self._shifts: dict[int, tuple[int, MetadataField]] = {}
        for f in self._fields:
            bits -= f.width
            self._shifts[f.id] = (bits, f)

    def encode(self, metadata: Iterable[p4r.PacketMetadata]) -> bytes:
        """The header of a packet-out. Raises P4Error (INVALID_ARGUMENT)."""
        header = 0
        seen: set[int] = set()
        for item in metadata:
            if item.metadata_id not in self._shifts:
                raise invalid(f"metadata id {item.metadata_id} is not in the P4Info's packet_out")
            if item.metadata_id in seen:
                raise invalid(f"metadata id {item.metadata_id} is given twice")
            seen.add(item.metadata_id)
            shift, field = self._shifts[item.metadata_id]
            try:
                header |= field.codec.decode(item.value) << shift
            except P4Error as error:
                raise invalid(f"metadata {field.name}: {error.message}") from None
        for field in self._fields:
            if field.id not in seen:
                raise invalid(f"metadata {field.name} (id {field.id}) is missing")
        return header.to_bytes(self.size, "big")

    def decode(self, frame: bytes) -> tuple[list[p4r.PacketMetadata], bytes] | None:
        """Metadata and payload of a packet-in; None for a frame shorter than the header."""
        if len(frame) < self.size:
            return None
        header = int.from_bytes(frame[: self.size], "big")
        metadata = [
            p4r.PacketMetadata(metadata_id=i, value=f.codec.encode(header >> shift & (1 << f.width) - 1))
            for i, (shift, f) in self._shifts.items()
        ]
        return metadata, frame[self.size :]
