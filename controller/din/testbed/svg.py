# SPDX-License-Identifier: Apache-2.0
"""The little of SVG that charts need. Everything that is written is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

_numbers: Final = count(1)


def tag(name: str, *inside: str, **attributes: object) -> str:
    """An element. ``class_`` is class, other underscores are hyphens; ``inside`` is SVG (see `text`)."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_number(value))}"
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{told}>{''.join(inside)}</{name}>" if inside else f"<{name}{told}/>"


def text(said: str, x: float, y: float, **attributes: object) -> str:
    return tag("text", escape(said), x=x, y=y, **attributes)


def hover(said: str) -> str:
    """What a pointer is told of the element that this is put in."""
    return tag("title", escape(said))


def points(places: Iterable[tuple[float, float]]) -> str:
    """Of a path: a dot at each place, if line ends are round."""
    return "".join(f"M{_number(x)} {_number(y)}h0" for x, y in places)


def line(places: Sequence[tuple[float, float]]) -> str:
    return "".join(
        f"{'L' if number else 'M'}{_number(x)} {_number(y)}" for number, (x, y) in enumerate(places)
    )


def picture(title: str, description: str, width: float, height: float, parts: Iterable[str]) -> Markup:
    """A whole image, with words for those who do not see it."""
    number = next(_numbers)
    names = f"t{number} d{number}"
    told = tag("title", escape(title), id=f"t{number}") + tag("desc", escape(description), id=f"d{number}")
    size = f"0 0 {_number(width)} {_number(height)}"
    return Markup(
        tag(
            "svg",
            told,
            *parts,
            role="img",
            aria_labelledby=names,
            viewBox=size,
            xmlns="http://www.w3.org/2000/svg",
        )
    )


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Scale:
    """From values, low to high, to places; logarithmic if said so."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """A value outside is shown at the edge."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [factor * 10.0**power for power in powers for factor in (1, 3)]
            return [each for each in found if self.low <= each <= self.high]
        step = 10 ** math.floor(math.log10((self.high - self.low) / 2))
        step *= next(each for each in (1, 2, 5, 10) if (self.high - self.low) / (step * each) <= 5)
        first = math.ceil(self.low / step)
        return [
            min(number * step, self.high) for number in range(first, math.floor(self.high / step + 1e-9) + 1)
        ]
