# SPDX-License-Identifier: Apache-2.0
"""Quantities as people write them: ``5ms``, ``100Mbit``, ``64kB``. Inside: us, bit/s, bytes."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

_TIMES: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_RATES: Final = {"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000, "Tbit": 1_000_000_000_000}
_SIZES: Final = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
_QUANTITY: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]+)(/s)?\s*", re.ASCII)
_EXAMPLES: Final = {"time": "5ms", "rate": "100Mbit", "size": "64kB"}
#: More than that a float cannot tell from its neighbour: 285 years, 9 Pbit/s, 9 PB.
_LARGEST: Final = 1 << 53


def _parse(value: Any, units: dict[str, int], kind: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units or (match[3] and kind != "rate"):
        raise ValueError(f"a {kind} with its unit ({', '.join(units)}), as in {_EXAMPLES[kind]}")
    exact = Fraction(match[1]) * units[match[2]]
    if exact > _LARGEST:
        raise ValueError(f"{value} is more than any {kind} there is")
    if exact.denominator != 1:
        raise ValueError(f"{value} is not a whole number of {next(iter(units))}")
    return int(exact)


def parse_time(value: Any) -> int:
    """us. ValueError: not a time."""
    return _parse(value, _TIMES, "time")


def parse_rate(value: Any) -> int:
    """bit/s. ValueError: not a rate."""
    return _parse(value, _RATES, "rate")


def parse_size(value: Any) -> int:
    """Bytes. ValueError: not a size."""
    return _parse(value, _SIZES, "size")


def show_time(us: float) -> str:
    """Three digits that matter, in the largest unit that the time has one of."""
    rounded = float(f"{us:.3g}")  # 999.9 us are 1 ms
    unit = next((name for name in reversed(_TIMES) if abs(rounded) >= _TIMES[name]), next(iter(_TIMES)))
    shown = rounded / _TIMES[unit]
    return f"{shown:.3g} {unit}" if abs(shown) < 1_000 else f"{shown:.0f} {unit}"


Microseconds = Annotated[int, BeforeValidator(parse_time), Field(ge=0)]
BitsPerSecond = Annotated[int, BeforeValidator(parse_rate), Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
