# SPDX-License-Identifier: Apache-2.0
"""Quantities as people write them: ``10Gbit``, ``5kpps``, ``1.5ms``, ``0.1%``, ``64KiB``.

Prefixes are those of tc(8) and of SI: ``k``, ``M``, ``G`` and ``T`` are powers of 1000; ``Ki``, ``Mi`` and
``Gi`` (bytes only) powers of 1024. Arithmetic is exact: a value that is no whole number of the base unit is
refused, never rounded. Every function raises ValueError with a text that says what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

_SI = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BITS = {f"{prefix}bit{slash}": scale for prefix, scale in _SI.items() for slash in ("", "/s")}
_PACKETS = {f"{prefix}pps": scale for prefix, scale in _SI.items()}
_TIMES = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_BYTES = {f"{prefix}B": scale for prefix, scale in _SI.items()} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}

# Bounded, so that a quantity is never an invitation to compute with a million digits.
_QUANTITY = re.compile(r"(?P<number>\d{1,20}(\.\d{1,20})?)\s*(?P<unit>[^\d\s.]*)", re.ASCII)
_LARGEST = 2**62


def parse_rate(value: str | int) -> int:
    """Bits a second: ``"10Gbit"``, ``"2.5 Mbit/s"``, or a plain number of bit/s. At least 1."""
    return _positive(_parse(value, _BITS, bare=1, what="rate", example="100Mbit"), "rate", value)


def parse_packet_rate(value: str) -> int:
    """Packets a second: ``"5kpps"``. At least 1."""
    return _positive(_parse(value, _PACKETS, bare=None, what="rate", example="5kpps"), "rate", value)


def parse_shaping(value: str | int) -> tuple[int | None, int | None]:
    """A rate of either kind, as (bits a second, None) or (None, packets a second)."""
    if isinstance(value, str) and value.strip().endswith("pps"):
        return None, parse_packet_rate(value)
    return parse_rate(value), None


def parse_duration(value: str | int) -> int:
    """Nanoseconds: ``"1.5ms"``. A number needs its unit; 0 alone does not."""
    return _parse(value, _TIMES, bare=None, what="duration", example="1.5ms")


def parse_size(value: str | int) -> int:
    """Bytes: ``"64KiB"``, ``"1500B"``, or a plain number of bytes."""
    return _parse(value, _BYTES, bare=1, what="size", example="64KiB")


def parse_probability(value: str | float) -> float:
    """A probability from 0 to 1: ``"0.1%"`` or ``0.001``."""
    text = str(value).strip()
    percent = text.endswith("%")
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{value!r} is not a probability; write 0.1% or 0.001") from None
    number = number / 100 if percent else number
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not a probability: it must lie between 0 and 1 (100%)")
    return number


def format_rate(bits: int) -> str:
    """The shortest exact form: 100000000 -> ``100Mbit``."""
    return _format(bits, ((f"{prefix}bit", scale) for prefix, scale in _SI.items() if prefix != "K"))


def format_duration(nanoseconds: int) -> str:
    """The shortest exact form: 1500000 -> ``1.5ms``."""
    return _format(nanoseconds, ((unit, scale) for unit, scale in _TIMES.items() if unit.isascii()))


def _parse(value: str | float, units: Mapping[str, int], *, bare: int | None, what: str, example: str) -> int:
    match = _QUANTITY.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f"{value!r} is not a {what}; write for instance {example}")
    number, unit = Fraction(match["number"]), match["unit"]
    if unit:
        scale = units.get(unit)
        if scale is None:
            known = ", ".join(sorted((u for u in units if "/" not in u), key=lambda u: units[u]))
            raise ValueError(f"{value!r}: unknown unit {unit!r} for a {what}; one of {known}")
    elif bare is not None or number == 0:
        scale = bare or 1
    else:
        raise ValueError(f"{value!r} needs a unit, for instance {example}")
    result = number * scale
    if result.denominator != 1:
        smallest = min(units, key=lambda u: (units[u], len(u)))
        raise ValueError(f"{value!r} is not a whole number of {smallest}")
    if result > _LARGEST:
        raise ValueError(f"{value!r} is too large for a {what}")
    return int(result)


def _positive(result: int, what: str, value: object) -> int:
    if result == 0:
        raise ValueError(f"{value!r}: a {what} must be greater than 0 (leave it out for no limit)")
    return result


def _format(value: int, units: Iterable[tuple[str, int]]) -> str:
    candidates = []
    for unit, scale in units:
        whole, rest = divmod(value, scale)
        decimals = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if rest else ""
        candidates.append(f"{whole}.{decimals}{unit}" if decimals else f"{whole}{unit}")
    return min(candidates, key=len)
