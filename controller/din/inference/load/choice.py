# SPDX-License-Identifier: Apache-2.0
"""Where a request goes: the service's address, where the network chooses, or an instance the client chose.

The client's choice is the least queue of the last poll of all instances' metrics. Between polls it does not
change: all clients that polled at the same time send to the same instance. That is the method's weakness, and
it is not mended here.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Final, Protocol

import httpx2

from din.measure import exposition, servers
from din.measure.vocabulary import VOCABULARIES

from .request import Request

#: s. A poll that takes longer says nothing about now.
POLL_TIMEOUT: Final = 2.0
#: The names of the instances' metrics.
VOCABULARY: Final = VOCABULARIES["vllm"]


@dataclass(frozen=True)
class Target:
    base_url: str
    model: str
    instance: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """An instance as its clients see it."""

    name: str
    base_url: str
    metrics: str

    @property
    def urls(self) -> tuple[str, str]:
        return self.base_url, self.metrics


class Choice(Protocol):
    def target(self, request: Request) -> Target | None:
        """None: there is nowhere to send it."""
        ...


@dataclass(frozen=True)
class ByNetwork:
    """Service -> its anycast address."""

    targets: dict[str, Target]

    def target(self, request: Request) -> Target | None:
        return self.targets[request.service]


class LeastQueue:
    """Service -> the instance with the fewest requests, as last polled.

    An instance whose metrics were not read in the last poll is unknown, which is not idle: it is chosen only
    where all are unknown. Ties go by lot, which the request's ID decides.
    """

    def __init__(self, endpoints: dict[str, list[Endpoint]], models: dict[str, str]) -> None:
        self._endpoints = endpoints
        self._models = models
        self.queues: dict[str, float] = {}  # instance -> running + waiting, if known
        self.polls = 0
        self.failed = 0

    def target(self, request: Request) -> Target | None:
        known = [each for each in self._endpoints[request.service] if each.name in self.queues]
        least = min((self.queues[each.name] for each in known), default=0.0)
        best = [each for each in known if self.queues[each.name] == least] or self._endpoints[request.service]
        if not best:
            return None
        chosen = random.Random(request.id).choice(best)
        return Target(chosen.base_url, self._models[request.service], chosen.name)

    async def poll(self, every: float) -> None:
        """Polls all instances, for ever, ``every`` s. One that does not answer delays none of the others."""
        everywhere = {each.name: each for endpoints in self._endpoints.values() for each in endpoints}
        loop = asyncio.get_running_loop()
        async with httpx2.AsyncClient(timeout=min(POLL_TIMEOUT, every), trust_env=False) as client:
            while True:
                next_poll = loop.time() + every
                await asyncio.gather(*(self._read(client, each) for each in everywhere.values()))
                await asyncio.sleep(next_poll - loop.time())

    async def _read(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> None:
        self.polls += 1
        try:
            response = await client.get(endpoint.metrics)
            response.raise_for_status()
            self.queues[endpoint.name] = queue_length(response.content)
        except (httpx2.HTTPError, ValueError, AttributeError):
            # The last: a connection that ended just when it began has no socket any more, and anyio asks it
            # for its peer.
            self.failed += 1
            self.queues.pop(endpoint.name, None)


def queue_length(page: bytes) -> float:
    """Requests running and waiting. ValueError: the page does not say, which is not the same as none."""
    samples = exposition.parse(page, VOCABULARY.wanted)
    load = servers.load(servers.reading(samples, VOCABULARY, at=0.0), VOCABULARY)
    if load.running is None or load.waiting is None:
        raise ValueError("the metrics do not say how many requests there are")
    return load.running + load.waiting
