# SPDX-License-Identifier: Apache-2.0
"""What a run's outcomes amount to.

TTFT is the first non-empty token less the sending; TPOT is (end to end - TTFT) / (tokens - 1), end to end
being to the last token; goodput is the requests a second that meet every SLO, everything else counting as a
miss: rejected, broken, late, cut. Intervals are 95 % bootstrap intervals. Requests that are neighbours in
time wait in the same queues, so whole stretches of neighbours are drawn again, not single requests (circular
block bootstrap: Politis and Romano, 1992), else the intervals would be too narrow and ties would look like
wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from din.model.service import Slo

from .outcome import OK, Generator, Outcome

Samples = NDArray[np.float64]
#: Of many sets of samples at once: (draws, samples) -> (draws,).
Statistic = Callable[[Samples], Samples]
#: Of one service, or of each by its name.
Slos = Slo | Mapping[str, Slo]

RESAMPLES: Final = 2000
#: Of fewer even the largest is below the 95th percentile more often than once in 40 times (0.95 ** 72): no
#: 95 % interval could have an upper end.
LEAST_FOR_P95: Final = 72
#: Fewer say nothing about the hundredth that is worst.
LEAST_FOR_P99: Final = 1000
#: s. What the slowest hundredth of requests may be sent late: a tenth of what objectives usually give the
#: first token. Where two cores have 30 processes, the kernel's turns alone make 10 to 20 ms.
MOST_LAG: Final = 0.05


@dataclass(frozen=True)
class Estimate:
    value: float
    low: float  # of the 95 % interval
    high: float
    samples: int


def ttft(outcome: Outcome) -> float | None:
    """s. None: no token came."""
    return None if outcome.first_token is None else outcome.first_token - outcome.sent


def tpot(outcome: Outcome) -> float | None:
    """s per token after the first. None: there was no second, or the answer is not whole."""
    if outcome.first_token is None or outcome.last_token is None:
        return None
    if outcome.status != OK or outcome.output_tokens < 2:
        return None
    return (outcome.last_token - outcome.first_token) / (outcome.output_tokens - 1)


def meets(outcome: Outcome, slo: Slos) -> bool:
    """Whole, and within every bound. A single token has no TPOT to miss. KeyError: a service without an
    SLO."""
    bound = slo if isinstance(slo, Slo) else slo[outcome.service]
    first, each = ttft(outcome), tpot(outcome)
    if outcome.status != OK or first is None or first * 1e6 > bound.ttft:
        return False
    return each is None or each * 1e6 <= bound.tpot


def mean(samples: Samples) -> Samples:
    return np.asarray(samples.mean(axis=-1))


def quantile(q: float) -> Statistic:
    """The ``q`` quantile, 0 to 1, interpolated between neighbours."""

    def of(samples: Samples) -> Samples:
        return np.asarray(np.quantile(samples, q, axis=-1))

    return of


def _draws(count: int, random: np.random.Generator) -> Iterable[NDArray[np.int64]]:
    """Indices of resamples, (some, count) at a time, in blocks of neighbours."""
    # The length that grows as the cube root is of the best order for a variance (Hall, Horowitz, Jing, 1995).
    length = max(round(count ** (1 / 3)), 1)
    blocks = -(-count // length)
    # A few million indices at a time, however many samples there are.
    some = max(min(RESAMPLES, 4_000_000 // max(count, 1)), 1)
    for begin in range(0, RESAMPLES, some):
        rows = min(some, RESAMPLES - begin)
        starts = random.integers(0, count, size=(rows, blocks, 1))
        yield ((starts + np.arange(length)) % count).reshape(rows, -1)[:, :count]


def bootstrap(samples: Sequence[float] | Samples, statistic: Statistic, seed: int = 0) -> Estimate | None:
    """``statistic`` of ``samples``, which are in order of time. None: there are no samples."""
    data = np.asarray(samples, dtype=np.float64)
    if not len(data):
        return None
    random = np.random.default_rng(seed)
    found = np.concatenate([statistic(data[index]) for index in _draws(len(data), random)])
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(float(statistic(data)), float(low), float(high), len(data))


def percentile(samples: Sequence[float] | Samples, percent: float, seed: int = 0) -> Estimate | None:
    """None: too few samples to tell; none at all, fewer than 72 for p95 and above, than 1,000 for p99."""
    least = LEAST_FOR_P99 if percent >= 99 else LEAST_FOR_P95 if percent >= 95 else 1
    if len(samples) < least:
        return None
    return bootstrap(samples, quantile(percent / 100), seed)


def goodput(outcomes: Sequence[Outcome], slo: Slos, seconds: float, seed: int = 0) -> Estimate | None:
    """Requests a second that met ``slo``, over ``seconds`` in which ``outcomes`` were scheduled.

    ValueError: ``seconds`` is not positive. None: nothing was scheduled.
    """
    if not seconds > 0:
        raise ValueError(f"goodput is over a positive time, not {seconds} s")
    share = bootstrap([float(meets(each, slo)) for each in in_order(outcomes)], mean, seed)
    if share is None:
        return None
    scale, low, high = len(outcomes) / seconds, share.low, share.high
    # No resample of nothing but misses has a hit. What may still be is bounded by the rule of three: of a
    # share p > 3/n, less than 5 % of all samples would show none.
    if share.value == 0:
        high = min(3 / len(outcomes), 1.0)
    elif share.value == 1:
        low = max(1 - 3 / len(outcomes), 0.0)
    return Estimate(share.value * scale, low * scale, high * scale, share.samples)


def in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Of time, by schedule: the same order in every arm."""
    return sorted(outcomes, key=lambda each: (each.scheduled, each.id))


@dataclass(frozen=True)
class Summary:
    """Of one phase of one arm, of one service or of several. Times in s. None: too few samples to tell.

    A request without a token has no TTFT, one that is not whole no TPOT: an arm that rejects more may look
    faster. Goodput does not.
    """

    requests: int
    statuses: Mapping[str, int]
    broken: int
    ttft_p50: Estimate | None
    ttft_p95: Estimate | None
    ttft_p99: Estimate | None
    tpot_p50: Estimate | None
    tpot_p95: Estimate | None
    tpot_p99: Estimate | None
    goodput: Estimate | None  # requests/s
    connections: int
    requests_per_connection: float | None  # None: no connection was seen
    instance_shares: Mapping[str, float]  # of answered requests; they add up to 1
    longest_gap: float | None  # within a stream


def summarise(outcomes: Iterable[Outcome], slo: Slos, seconds: float, seed: int = 0) -> Summary:
    """``outcomes`` of one phase of ``seconds``, of one service or of several."""
    found = in_order(outcomes)
    firsts = [value for value in map(ttft, found) if value is not None]
    each = [value for value in map(tpot, found) if value is not None]
    connected = [outcome for outcome in found if outcome.connection is not None]
    # A port is used again sooner or later, and processes count their own connections: together they are
    # unique.
    connections = {(one.local_address, one.local_port, one.connection) for one in connected}
    instances = Counter(outcome.instance for outcome in found if outcome.instance and outcome.chunks)
    return Summary(
        requests=len(found),
        statuses=dict(Counter(outcome.status for outcome in found).most_common()),
        broken=sum(outcome.broken for outcome in found),
        ttft_p50=percentile(firsts, 50, seed),
        ttft_p95=percentile(firsts, 95, seed),
        ttft_p99=percentile(firsts, 99, seed),
        tpot_p50=percentile(each, 50, seed),
        tpot_p95=percentile(each, 95, seed),
        tpot_p99=percentile(each, 99, seed),
        goodput=goodput(found, slo, seconds, seed),
        connections=len(connections),
        requests_per_connection=len(connected) / len(connections) if connections else None,
        instance_shares={name: count / instances.total() for name, count in sorted(instances.items())},
        longest_gap=max((one.gap_max for one in found if one.gap_max is not None), default=None),
    )


def table(
    outcomes: Iterable[Outcome], slos: Mapping[str, Slo], seconds: Mapping[str, float], seed: int = 0
) -> dict[tuple[str, str], Summary]:
    """(service, phase) -> of one arm. ``seconds`` are the phases' lengths; other phases, such as the warm-up,
    are left out. KeyError: a service without an SLO."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        if each.phase in seconds:
            groups.setdefault((each.service, each.phase), []).append(each)
    return {
        (service, phase): summarise(group, slos[service], seconds[phase], seed)
        for (service, phase), group in sorted(groups.items())
    }


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    TIE = "tie"  # the interval contains 0
    UNKNOWN = "unknown"  # nothing to compare


@dataclass(frozen=True)
class Difference:
    """Of the first arm less the second, on the requests that both can be measured by."""

    estimate: Estimate | None
    verdict: Verdict  # on the first
    left_out: int  # requests that either arm could not be measured by: read the statuses too


def paired(
    first: Iterable[Outcome],
    second: Iterable[Outcome],
    measure: Callable[[Outcome], float | None],
    statistic: Statistic = mean,
    *,
    larger_is_better: bool = False,
    seed: int = 0,
) -> Difference:
    """``statistic`` of ``measure`` in one arm less that in the other, drawn together request by request.

    ``measure`` gives None for what it cannot measure; such requests are left out of both arms and counted.
    """
    one = {each.id: each for each in in_order(first)}
    other = {each.id: each for each in second}
    values: list[tuple[float, float]] = []
    left_out = len(one.keys() ^ other.keys())
    for name in one:
        if name not in other:
            continue
        a, b = measure(one[name]), measure(other[name])
        if a is None or b is None:
            left_out += 1
        else:
            values.append((a, b))
    if not values:
        return Difference(None, Verdict.UNKNOWN, left_out)
    data = np.asarray(values, dtype=np.float64).T
    random = np.random.default_rng(seed)
    draws = [statistic(data[0][index]) - statistic(data[1][index]) for index in _draws(data.shape[1], random)]
    low, high = (float(each) for each in np.quantile(np.concatenate(draws), [0.025, 0.975]))
    value = float(statistic(data[0]) - statistic(data[1]))
    if low <= 0 <= high:
        verdict = Verdict.TIE
    else:
        verdict = Verdict.BETTER if (value > 0) == larger_is_better else Verdict.WORSE
    return Difference(Estimate(value, low, high, len(values)), verdict, left_out)


def met(slo: Slos) -> Callable[[Outcome], float]:
    """For `paired`, of goodput: every request counts, answered or not."""
    return lambda outcome: float(meets(outcome, slo))


def why_void(generators: Iterable[Generator], *, sites: int, host_cpu: float | None = None) -> list[str]:
    """Reasons to discard an arm; none: it counts. ``host_cpu`` is the machine's busy share, 0 to 1."""
    found = list(generators)
    reasons = []
    if len(found) < sites:
        reasons.append(f"{sites - len(found)} of {sites} generators did not end by themselves")
    for each in found:
        late = max(each.lag_p99, each.loop_lag_p99)
        if late > MOST_LAG:
            reasons.append(f"a generator lagged: p99 {late * 1e3:.1f} ms, allowed {MOST_LAG * 1e3:.0f} ms")
        if each.cpu_busiest > 0.8:
            reasons.append(f"a generator used {each.cpu_busiest:.0%} of its core")
        if each.unsent:
            reasons.append(f"a generator was stopped with {each.unsent} requests unsent")
    if host_cpu is not None and host_cpu > 0.8:
        reasons.append(f"the host's CPU was {host_cpu:.0%} busy, allowed 80 %")
    return reasons
