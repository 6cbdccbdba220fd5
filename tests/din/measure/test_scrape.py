# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from din.measure.exposition import MAX_PAGE
from din.measure.scrape import Scraper, Target
from din.measure.state import Load

from .model_server import Behaviour, ModelServer, answers, drips, endless, hangs, page, raw


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Feed:
    def __init__(self) -> None:
        self.loads: dict[str, list[Load]] = {}

    def __call__(self, name: str, load: Load) -> None:
        self.loads.setdefault(name, []).append(load)

    def count(self, name: str) -> int:
        return len(self.loads.get(name, []))


async def test_servers_of_all_kinds_are_asked_again_and_again() -> None:
    kinds = {"vllm": "vllm", "sglang": "sglang", "triton": "triton", "trtllm": "trtllm", "vllm-0.8": "vllm"}
    feed = Feed()
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(ModelServer(answers(page(name)))) for name in kinds}
        scraper = await stack.enter_async_context(Scraper(feed, interval=0.05))
        scraper.set({name: Target(servers[name].url, kind) for name, kind in kinds.items()})
        await until(lambda: all(feed.count(name) >= 3 for name in kinds))
        assert {name: loads[-1].running for name, loads in feed.loads.items()} == {
            "vllm": 32,
            "sglang": 11,
            "triton": 8,
            "trtllm": 9,
            "vllm-0.8": 2,
        }
        # One connection carries all scrapes, and no page may come compressed.
        assert all(server.connections == 1 for server in servers.values())
        assert b"Accept-Encoding: identity" in servers["vllm"].requests[0][1]
        assert scraper.sources["vllm"].load == feed.loads["vllm"][-1]


BAD: dict[str, tuple[Behaviour, str]] = {
    "hangs": (hangs, "no page within"),
    "drips": (drips, "no page within"),
    "endless": (endless, f"more than {MAX_PAGE}"),
    "long": (answers(b"#" * (MAX_PAGE + 1)), f"more than {MAX_PAGE}"),
    "404": (answers(b"", "404 Not Found"), "HTTP 404"),
    "elsewhere": (answers(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), "HTTP 302"),
    "html": (answers(b"<html>welcome</html>"), "no metric of vllm"),
    "malformed": (answers(b"vllm:num_requests_waiting lots\n"), "line 1: not of the form"),
    "latin1": (answers(b'vllm:num_requests_waiting{m="\xe9"} 1\n'), "not UTF-8"),
    "bomb": (
        answers(gzip.compress(b"\0" * (64 << 20)), headers="Content-Encoding: gzip\r\n"),
        "answers in gzip",
    ),
    "not-http": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "no HTTP/1.1"),
    "half": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nvllm:num_requests_waiting 1\n"), "ended"),
    "closes": (raw(b""), "connection ended"),
}


async def test_what_bad_servers_do_is_said_and_delays_nobody(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed()
    caplog.set_level(logging.INFO)
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(ModelServer(answers(page("vllm"))))
        bad = {
            name: await stack.enter_async_context(ModelServer(behaviour))
            for name, (behaviour, _) in BAD.items()
        }
        scraper = await stack.enter_async_context(Scraper(feed, interval=0.1))
        targets = {name: Target(server.url, "vllm") for name, server in bad.items()}
        targets["refuses"] = Target("http://127.0.0.1:1/", "vllm")
        targets["none"] = Target("nonsense", "vllm")
        scraper.set({"good": Target(good.url, "vllm"), **targets})
        await until(lambda: all(scraper.sources[name].failures >= 1 for name in targets))
        await until(lambda: feed.count("good") >= 12)
        errors = {name: scraper.sources[name].error for name in targets}

    assert feed.loads.keys() == {"good"}
    for name, (_, what) in BAD.items():
        assert what in errors[name], name
    assert "Connect call failed" in errors["refuses"]
    assert "no URL" in errors["none"]
    # Each is said once, however often it fails.
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sorted(warning.split(":")[0] for warning in warnings) == sorted(targets)
    # Beside them the good one keeps its beat.
    gaps = [b.at - a.at for a, b in zip(feed.loads["good"], feed.loads["good"][1:], strict=False)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.1, abs=0.02)


async def test_loads_grow_old_while_a_server_is_silent_and_come_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed = Feed()
    caplog.set_level(logging.INFO)
    async with ModelServer(answers(page("trtllm"))) as server, Scraper(feed, interval=0.05) as scraper:
        scraper.set({"one": Target(server.url, "trtllm")})
        await until(lambda: feed.count("one") >= 2)
        await server.stop()
        await until(lambda: scraper.sources["one"].failures >= 3)
        before = scraper.sources["one"].load
        assert before is feed.loads["one"][-1]
        await server.start()
        await until(lambda: feed.loads["one"][-1] is not before)
        assert scraper.sources["one"].error == ""
        assert "metrics from" in caplog.messages[-1]
        assert "again" in caplog.messages[-1]


async def test_a_server_slower_than_the_interval_is_heard_late_but_heard() -> None:
    feed = Feed()
    slow = ModelServer(answers(page("vllm"), after=0.25))
    async with slow, Scraper(feed, interval=0.1) as scraper:
        scraper.set({"slow": Target(slow.url, "vllm")})
        await until(lambda: feed.count("slow") >= 3)
        gaps = [b.at - a.at for a, b in zip(feed.loads["slow"], feed.loads["slow"][1:], strict=False)]
        # Beats at 0, 0.1, 0.2, 0.3, …: after 0.25 the next is at 0.3.
        assert all(gap == pytest.approx(0.3, abs=0.06) for gap in gaps)


async def test_set_again_disturbs_nobody_who_stays() -> None:
    feed = Feed()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(ModelServer(answers(page("vllm")))) for _ in range(3)]
        scraper = await stack.enter_async_context(Scraper(feed, interval=0.05))
        a, b, c = (Target(server.url, "vllm") for server in servers)
        scraper.set({"a": a, "b": b})
        await until(lambda: feed.count("a") and feed.count("b"))
        source = scraper.sources["a"]
        scraper.set({"a": a, "c": c})
        assert scraper.sources["a"] is source
        assert scraper.sources.keys() == {"a", "c"}
        await until(lambda: feed.count("c") >= 1)
        asked, loads = len(servers[1].requests), feed.count("b")
        await until(lambda: feed.count("a") >= 5)
        assert (len(servers[1].requests), feed.count("b")) == (asked, loads)
        # Another URL is another server: what was counted there means nothing here.
        scraper.set({"a": b})
        assert scraper.sources["a"] is not source


async def test_an_unknown_kind_of_server_is_refused() -> None:
    async with Scraper(Feed()) as scraper:
        with pytest.raises(KeyError, match="ollama"):
            scraper.set({"a": Target("http://127.0.0.1:1/", "ollama")})
