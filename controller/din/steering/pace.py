# SPDX-License-Identifier: Apache-2.0
"""How long a request is believed to hold a slot of a server, and to prefill.

The first is running / (finished/s), by Little's law. Few requests say little, and what runs is counted at one
moment: beside what finished lately, PRIOR a second count that took what is usual at the server's variant, and
of that one decision believes PACE_BELIEF. What is usual begins with what the service's objectives give a
request, so that it is known of servers that nobody has asked yet. Prefill times are treated alike: they are
the prompts', more than the server's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import fsum
from typing import Final

from din.model.network import Model

from .estimate import Server
from .plan import Pace

#: Of an answer that nothing is known of.
TOKENS: Final = 32
#: Requests a second, as which the usual counts beside what a server finished lately.
PRIOR: Final = 1.0
#: Of new figures, what one decision believes.
PACE_BELIEF: Final = 0.2

#: Instance -> (seconds that requests took altogether, requests), both in a second.
_Work = Mapping[str, tuple[float, float]]


def paces(
    model: Model, service: str, servers: Mapping[str, Server], before: Mapping[str, Pace]
) -> dict[str, Pace]:
    """Of all instances of ``service``; ``before``: what was believed of those that told."""
    variants = {each.name: each.variant for each in model.instances_of(service)}
    slo = model.service[service].slo
    running: dict[str, tuple[float, float]] = {}
    prefilling: dict[str, tuple[float, float]] = {}
    for name in variants:
        server = servers[name]
        if server.running is not None and server.finishing is not None:
            running[name] = server.running, server.finishing
        if server.compute is not None:
            finishing = server.finishing or PRIOR
            prefilling[name] = server.compute * finishing, finishing
    objective = (slo.ttft + TOKENS * slo.tpot) / 1e6
    holds = _believed(running, variants, objective, PRIOR, {name: each.hold for name, each in before.items()})
    prefills = _believed(
        prefilling, variants, 0.0, 0.0, {name: each.prefill for name, each in before.items()}
    )
    return {name: Pace(holds[name], prefills[name]) for name in variants}


def _believed(
    told: _Work, variants: Mapping[str, str], first: float, requests: float, before: Mapping[str, float]
) -> dict[str, float]:
    """Seconds that a request takes at each. So many ``requests`` a second took ``first``, before anybody
    told.
    """
    of_variant: dict[str, list[tuple[float, float]]] = {}
    for name, work in told.items():
        of_variant.setdefault(variants[name], []).append(work)
    everybody = _mean(told.values(), first, requests)
    usual = {variant: _mean(work, first, requests) for variant, work in of_variant.items()}
    found: dict[str, float] = {}
    for name, variant in variants.items():
        found[name] = usual.get(variant, everybody)
        if name in told:
            found[name] = _mean([told[name]], found[name], PRIOR)
            if name in before:
                found[name] = before[name] + PACE_BELIEF * (found[name] - before[name])
    return found


def _mean(work: Collection[tuple[float, float]], usual: float, requests: float) -> float:
    """Seconds of a request, if so many ``requests`` more take what is ``usual``."""
    total = requests * usual + fsum(seconds for seconds, _ in work)
    count = requests + fsum(number for _, number in work)
    return total / count if count else usual
