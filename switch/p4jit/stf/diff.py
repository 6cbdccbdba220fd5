# SPDX-License-Identifier: Apache-2.0
"""Compares a frame with an STF pattern and shows where they differ."""

from __future__ import annotations

from p4jit.stf.commands import Pattern

_ROW = 32  # nibbles: 16 bytes


def matches(pattern: Pattern | None, data: bytes) -> bool:
    """Does the frame fit? None fits every frame; see `Pattern` for lengths."""
    if pattern is None:
        return True
    digits = data.hex().upper()
    wanted = pattern.digits
    if len(digits) < len(wanted) or (pattern.exact_length and len(digits) > len(wanted)):
        return False
    return all(w in ("*", d) for w, d in zip(wanted, digits, strict=False))


def packet_diff(pattern: Pattern, data: bytes) -> str:
    """Both as rows of 16 bytes under each other, each differing nibble marked with ``^``; rows that agree
    are shown once. Past the end of the shorter one every nibble differs, except that a pattern without
    ``$`` lets a frame go on."""
    wanted, digits = pattern.digits, data.hex().upper()
    length = max(len(wanted), len(digits))
    lines = [f"expected {_size(len(wanted), pattern)}, received {_size(len(digits))}"]
    for start in range(0, length, _ROW):
        want, got = wanted[start : start + _ROW], digits[start : start + _ROW]
        marks = "".join(_mark(want, got, i, pattern) for i in range(max(len(want), len(got))))
        at = f"{start // 2:04x}"
        if "^" not in marks:
            lines.append(f"  {at}           {_spaced(got)}")
        else:
            lines.append(f"  {at}  expected {_spaced(want)}".rstrip())
            lines.append(f"        received {_spaced(got)}".rstrip())
            lines.append(f"                 {_spaced(marks)}".rstrip())
    return "\n".join(lines)


def hex_rows(data: bytes) -> str:
    """The frame as rows of 16 bytes with their offsets."""
    digits = data.hex().upper()
    starts = range(0, max(len(digits), 1), _ROW)
    return "\n".join(f"  {i // 2:04x}  {_spaced(digits[i : i + _ROW])}".rstrip() for i in starts)


def _mark(want: str, got: str, i: int, pattern: Pattern) -> str:
    if i >= len(want):
        return "^" if pattern.exact_length else " "
    if i >= len(got):
        return "^"
    return " " if want[i] in ("*", got[i]) else "^"


def _spaced(nibbles: str) -> str:
    """``0102..`` as ``01 02 ..``, with a wider gap after 8 bytes."""
    pairs = [nibbles[i : i + 2] for i in range(0, len(nibbles), 2)]
    return "  ".join(" ".join(pairs[i : i + 8]) for i in range(0, len(pairs), 8))


def _size(nibbles: int, pattern: Pattern | None = None) -> str:
    whole, half = divmod(nibbles, 2)
    text = f"{whole}{'.5' if half else ''} byte{'' if nibbles == 2 else 's'}"
    if pattern is None:
        return text
    return f"exactly {text}" if pattern.exact_length else f"at least {text}"
