# SPDX-License-Identifier: Apache-2.0
"""All of it together, as a controller uses it: real servers, real time."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from din.measure import targets
from din.measure.probe import Prober
from din.measure.scrape import Scraper
from din.measure.store import Measurements

from .fabric import ids, model, wiring
from .model_server import ModelServer, answers, hangs, page


async def test_a_controller_sees_loads_and_deaths_in_time() -> None:
    fabric = model()
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(ModelServer(answers(page("vllm"))))
            for name in fabric.instance
        }
        fabric = fabric.model_copy(
            update={
                "instances": [
                    each.model_copy(
                        update={"metrics": servers[each.name].url, "health": servers[each.name].url}
                    )
                    for each in fabric.instances
                ]
            }
        )
        wires = wiring(fabric)
        measurements = Measurements(fabric, ids(fabric), wires)
        told: asyncio.Queue[str] = asyncio.Queue()
        measurements.on_health = told.put_nowait
        scraper = await stack.enter_async_context(Scraper(measurements.load))
        prober = await stack.enter_async_context(Prober(measurements.probed))
        scraper.set(targets.metrics(wires))
        prober.set(targets.health(wires))

        async with asyncio.timeout(2.0):
            assert {await told.get() for _ in servers} == set(servers)
        start = time.monotonic()
        await servers["hq-0"].stop()
        servers["branch-0"].behaviour = hangs
        async with asyncio.timeout(2.0):
            assert {await told.get(), await told.get()} == {"hq-0", "branch-0"}
        assert time.monotonic() - start < 2.0

        now = measurements.measured(time.monotonic())
        assert {name: state.alive for name, state in now.instances.items()} == {
            "hq-0": False,
            "hq-1": True,
            "branch-0": False,
        }
        assert "connection refused" in now.instance("hq-0").reason
        assert "no answer" in now.instance("branch-0").reason
        load = now.instance("hq-1").load
        assert load is not None
        assert load.waiting == 7
        # Fresh, while the others' only grow old.
        assert now.at - load.at < 0.7
        stale = now.instance("hq-0").load
        assert stale is None or stale.at < start

        await servers["hq-0"].start()
        async with asyncio.timeout(2.0):
            assert await told.get() == "hq-0"
        assert measurements.measured(time.monotonic()).instance("hq-0").alive is True
