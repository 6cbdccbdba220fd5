# SPDX-License-Identifier: Apache-2.0
"""Open-loop Poisson arrivals: when requests come does not depend on how the ones before fared.

The schedule is a function of the comparison, the site and the seed, and of nothing else: every arm gets the
same requests at the same instants. Each load draws from streams of its own, one each for gaps, prompts and
outputs, so that an edit of one load, or of its lengths, leaves the rest as it was.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from din.model.emulated import Comparison, Lengths, Load

from .request import Request

#: The phase of what is discarded, before the first of the comparison's own.
WARM_UP: Final = "warm-up"


def boundaries(comparison: Comparison) -> list[tuple[str, float, float]]:
    """(phase, from, to) in seconds since the start of a run, the warm-up first if there is one."""
    found: list[tuple[str, float, float]] = []
    begin = 0.0
    lengths = [(WARM_UP, comparison.warm_up), *((each.name, each.duration) for each in comparison.phases)]
    for name, duration in lengths:
        end = begin + duration / 1e6
        if duration:
            found.append((name, begin, end))
        begin = end
    return found


def schedule(comparison: Comparison, site: str, seed: int) -> list[Request]:
    """What the clients of ``site`` send, in order of time. KeyError: no load comes from there."""
    loads = [each for each in comparison.loads if each.site == site]
    if not loads:
        raise KeyError(f"no load comes from site {site!r}")
    phases = boundaries(comparison)
    requests: list[Request] = []
    names: Counter[str] = Counter()
    for load in loads:
        # Its place in the list is no part of its name: another load may come or go.
        name = f"{load.site}.{load.service}.{load.host}"
        names[name] += 1
        requests += _arrivals(load, f"{name}.{names[name]}", phases, seed)
    return sorted(requests, key=lambda each: (each.at_seconds, each.id))


def poisson(rate: float, seconds: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Instants in [0, seconds), ``rate`` of them a second on average, gaps exponential."""
    parts: list[NDArray[np.float64]] = []
    last = 0.0
    while last < seconds:
        times = last + np.cumsum(random.exponential(1 / rate, size=1024))
        parts.append(times)
        last = float(times[-1])
    every = np.concatenate(parts)
    inside: NDArray[np.float64] = every[every < seconds]
    return inside


def lognormal(lengths: Lengths, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Tokens: at least 1, at most ``lengths.largest`` (what would be longer is cut there)."""
    drawn = lengths.median * np.exp(lengths.sigma * random.standard_normal(count))
    found: NDArray[np.int64] = np.clip(np.rint(drawn), 1, lengths.largest).astype(np.int64)
    return found


def _arrivals(load: Load, name: str, phases: list[tuple[str, float, float]], seed: int) -> list[Request]:
    streams = np.random.SeedSequence([seed, *name.encode()]).spawn(3)
    gaps, prompts, outputs = (np.random.default_rng(stream) for stream in streams)
    times = poisson(load.requests_per_second, phases[-1][2] if phases else 0, gaps)
    prompt = lognormal(load.prompt, len(times), prompts)
    output = lognormal(load.output, len(times), outputs)
    ends = np.array([end for _, _, end in phases])
    return [
        Request(
            at_seconds=float(times[number]),
            service=load.service,
            prompt_tokens=int(prompt[number]),
            output_tokens=int(output[number]),
            keep_alive=load.keep_alive,
            id=f"{name}.{number}",
            phase=phases[phase][0],
            host=load.host,
        )
        for number, phase in enumerate(np.searchsorted(ends, times, side="right"))
    ]
