# SPDX-License-Identifier: Apache-2.0
"""Charts of a comparison's results, as SVG. Colours are CSS variables, so that they suit light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from markupsafe import Markup

from din.inference.load.outcome import Outcome
from din.inference.load.stats import ttft

from .results import ALL, ArmResult, Results
from .svg import Scale, hover, line, picture, points, tag, text
from .tables import PARTS, latency_split

_WIDTH: Final = 900
#: Of a rolling median, in requests.
_ROLLING: Final = 15
#: Shown of TTFT, s: what is outside is at the edge.
_LEAST, _MOST = 0.02, 20.0
#: What has a colour of its own; there are eight.
_COLOURS: Final = 8
_NAMES_A_LINE: Final = 5


def colours(results: Results) -> dict[str, str]:
    """Arm -> the CSS class of its colour and dashes. DIN and the baseline always have theirs."""
    others = (f"a{number}" for number in range(1, _COLOURS))
    found = {}
    for arm in results.arms:
        if arm.name == results.din:
            found[arm.name] = "a-din"
        elif arm.name == results.baseline:
            found[arm.name] = "a-base"
        else:
            found[arm.name] = next(others, f"a{_COLOURS - 1}")
    return found


def legend(results: Results) -> Markup:
    parts = []
    x = 8.0
    for name, colour in colours(results).items():
        parts.append(tag("path", d=f"M{x} 10h26", class_=f"line {colour}"))
        parts.append(text(_name(results.arm[name]), x + 32, 14))
        x += 32 + 7.2 * len(_name(results.arm[name])) + 22
    names = ", ".join(results.arm)
    return picture("Legend", f"The arms: {names}", max(x, 100), 20, parts)


def _name(arm: ArmResult) -> str:
    return f"{arm.name} (void)" if arm.void else arm.name


def times(results: Results) -> Markup:
    """TTFT of each request by when it was to be sent: a panel an arm, phases shaded."""
    left, right, high, gap = 62, 10, 92, 26
    phases = _spans(results)
    x = Scale(phases[0][1], phases[-1][2], left, _WIDTH - right)
    parts = []
    for number, arm in enumerate(results.arms):
        top = 22 + number * (high + gap)
        y = Scale(_LEAST, _MOST, top + high, top, log=True)
        for place, (name, begins, ends) in enumerate(phases):
            shade = {"x": x(begins), "y": top, "width": x(ends) - x(begins), "height": high}
            parts.append(tag("rect", class_=f"phase p{place % 2}", **shade))
            if not number:
                parts.append(text(name, x((begins + ends) / 2), 14, class_="middle small"))
        for tick in (0.1, 1.0, 10.0):
            parts.append(tag("path", d=f"M{left} {y(tick):.1f}H{_WIDTH - right}", class_="grid"))
            parts.append(text(f"{tick * 1e3:g} ms", left - 6, y(tick) + 4, class_="end small"))
        parts.append(text(_name(arm), left + 6, top + 14, class_="bold"))
        known = [(each, value) for each in arm.outcomes if (value := ttft(each)) is not None]
        dots = points((x(each.scheduled), y(value)) for each, value in known)
        colour = colours(results)[arm.name]
        parts.append(tag("path", d=dots, class_=f"dots {colour}"))
        missed = points((x(each.scheduled), top + 4.0) for each in arm.outcomes if ttft(each) is None)
        if missed:
            parts.append(tag("path", hover("no token came"), d=missed, class_="dots missed"))
        smooth = [(x(when), y(value)) for when, value in _rolling(known)]
        parts.append(tag("path", d=line(smooth), class_="median"))
    height = 22 + len(results.arms) * (high + gap)
    for tick in x.ticks():
        parts.append(text(f"{tick:g} s", x(tick), height - 8, class_="middle small"))
    told = f"Dots are requests, lines the median of {_ROLLING}; red dots at the top had no token."
    return picture("TTFT over time, by arm", told, _WIDTH, height, parts)


def _spans(results: Results) -> list[tuple[str, float, float]]:
    """(phase, from, to), s."""
    comparison = results.model.emulation.comparison
    at = comparison.warm_up / 1e6 if comparison else 0.0
    found = []
    for name, seconds in results.run.phases.items():
        found.append((name, at, at + seconds))
        at += seconds
    return found


def _rolling(known: Sequence[tuple[Outcome, float]]) -> list[tuple[float, float]]:
    half = _ROLLING // 2
    return [
        (known[place][0].scheduled, median(value for _, value in known[place - half : place + half + 1]))
        for place in range(half, len(known) - half)
    ]


def ecdf(results: Results, phase: str) -> Markup:
    """The share of all requests that had their first token within a time: one that never had it counts."""
    width, height, left, bottom = 440, 250, 44, 34
    x = Scale(_LEAST, _MOST, left, width - 12, log=True)
    y = Scale(0, 1, height - bottom, 14)
    parts = [text(phase, left + 8, 28, class_="bold")]
    for tick in x.ticks():
        parts.append(tag("path", d=f"M{x(tick):.1f} 14V{height - bottom}", class_="grid"))
        name = f"{tick:g} s" if tick >= 1 else f"{tick * 1e3:g} ms"
        parts.append(text(name, x(tick), height - bottom + 16, class_="middle small"))
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(tag("path", d=f"M{left} {y(tick):.1f}H{width - 12}", class_="grid"))
        parts.append(text(f"{tick:.0%}", left - 6, y(tick) + 4, class_="end small"))
    for arm in results.arms:
        outcomes = arm.select(phase, ALL)
        values = sorted(value for value in map(ttft, outcomes) if value is not None)
        places = [(x(value), y((number + 1) / len(outcomes))) for number, value in enumerate(values)]
        if places:
            steps = line([(places[0][0], y(0)), *places, (x(_MOST), places[-1][1])])
            parts.append(tag("path", hover(arm.name), d=steps, class_=f"line {colours(results)[arm.name]}"))
    parts.append(text("TTFT", width - 14, height - 4, class_="end small"))
    told = "By arm, the share of requests whose first token came within the time on the horizontal axis."
    return picture(f"TTFT's distribution, {phase}", told, width, height, parts)


def goodput(results: Results) -> Markup:
    """Bars with intervals: a group a phase, a bar an arm."""
    row, left, right = 15, 190, 120
    most = max(
        (
            each.high
            for arm in results.arms
            for phase in results.phases
            if (each := arm.summaries[phase][ALL].goodput)
        ),
        default=1.0,
    )
    x = Scale(0, most or 1.0, left, _WIDTH - right)
    parts = []
    y = 8.0
    begin = y
    for phase in results.phases:
        parts.append(text(phase, 4, y + 12, class_="bold"))
        for arm in results.arms:
            estimate = arm.summaries[phase][ALL].goodput
            parts.append(text(_name(arm), left - 8, y + 12, class_="end small"))
            if estimate is not None:
                said = f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"
                bar = {"x": left, "y": y + 2, "width": x(estimate.value) - left, "height": row - 4}
                shown = f"bar {colours(results)[arm.name]}{' void' if arm.void else ''}"
                parts.append(
                    tag("rect", hover(f"{arm.name}, {phase}: {said} requests/s"), class_=shown, **bar)
                )
                middle = y + row / 2
                parts.append(
                    tag(
                        "path",
                        d=f"M{x(estimate.low):.1f} {middle:.1f}H{x(estimate.high):.1f}",
                        class_="whisker",
                    )
                )
                parts.append(text(said, x(estimate.high) + 6, y + 12, class_="small"))
            y += row
        y += 10
    for tick in x.ticks():
        parts.insert(0, tag("path", d=f"M{x(tick):.1f} {begin}V{y:.1f}", class_="grid"))
        parts.append(text(f"{tick:g}", x(tick), y + 12, class_="middle small"))
    told = "Requests a second that met their objectives, by phase and arm, with 95 % intervals."
    return picture("Goodput, requests/s", told, _WIDTH, y + 20, parts)


def latency(results: Results, service: str) -> Markup | None:
    """Stacked means: network, queue, compute, other. None: no telemetry of that service."""
    splits = [
        (phase, arm, split)
        for phase in results.phases
        for arm in results.arms
        if (split := latency_split(arm, phase, service)) is not None
    ]
    if not splits:
        return None
    row, left, right = 15, 190, 220
    x = Scale(0, max(sum(each.parts.values()) for _, _, each in splits) or 1.0, left, _WIDTH - right)
    parts = []
    for number, name in enumerate(PARTS):
        parts.append(tag("rect", x=left + number * 110, y=4, width=12, height=10, class_=f"part s{number}"))
        parts.append(text(name, left + number * 110 + 17, 13, class_="small"))
    y = 24.0
    last = ""
    for phase, arm, split in splits:
        if phase != last:
            y += 8 if last else 0
            parts.append(text(phase, 4, y + 12, class_="bold"))
            last = phase
        parts.append(text(_name(arm), left - 8, y + 12, class_="end small"))
        at = 0.0
        for number, name in enumerate(PARTS):
            value = split.parts.get(name, 0.0)
            named = hover(f"{arm.name}, {phase}: {name} {value:.0f} ms")
            bar = {"x": x(at), "y": y + 2, "width": x(at + value) - x(at), "height": row - 4}
            parts.append(tag("rect", named, class_=f"part s{number}", **bar))
            at += value
        # The leaves watch the service's address, not servers that clients ask by their own.
        unseen = "" if "network" in split.parts else ", network not seen"
        said = f"{at:.0f} ms ({split.source}, {split.responses}{unseen})"
        parts.append(text(said, x(at) + 6, y + 12, class_="small"))
        y += row
    told = (
        "Means by phase and arm, as the leaves and the servers see them. In brackets: where queue and "
        "compute come from, and how many responses."
    )
    return picture(f"Where the time to {service}'s first tokens went", told, _WIDTH, y + 8, parts)


def shares(results: Results, service: str) -> Markup:
    """Which instances answered: a bar a phase and arm."""
    instances = [each.name for each in results.model.instances_of(service)]
    row, left = 15, 190
    x = Scale(0, 1, left, _WIDTH - 20)
    parts = []
    y = 4.0
    for number, name in enumerate(instances):
        place = number % _NAMES_A_LINE
        if number and not place:
            y += row
        at = left + place * 140.0
        parts.append(tag("rect", x=at, y=y, width=12, height=10, class_=_series(number)))
        parts.append(text(name, at + 17, y + 9, class_="small"))
    y += 20
    for phase in results.phases:
        parts.append(text(phase, 4, y + 12, class_="bold"))
        for arm in results.arms:
            summary = arm.summaries[phase].get(service)
            taken: Mapping[str, float] = summary.instance_shares if summary else {}
            parts.append(text(_name(arm), left - 8, y + 12, class_="end small"))
            at = 0.0
            for number, name in enumerate(instances):
                share = taken.get(name, 0.0)
                if not share:
                    continue
                bar = {"x": x(at), "y": y + 2, "width": x(at + share) - x(at), "height": row - 4}
                said = hover(f"{arm.name}, {phase}: {name} {share:.0%}")
                parts.append(tag("rect", said, class_=_series(number), **bar))
                at += share
            y += row
        y += 8
    told = f"Shares of {', '.join(instances)} in the answered requests, by phase and arm."
    return picture(f"Which instances of {service} answered", told, _WIDTH, y, parts)


def _series(number: int) -> str:
    return f"part s{number % _COLOURS}"
