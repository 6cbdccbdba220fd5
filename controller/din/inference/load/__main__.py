# SPDX-License-Identifier: Apache-2.0
"""``python -m din.inference.load``: one site's clients, as one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from .choice import ByNetwork, Choice, Endpoint, LeastQueue, Target
from .exchange import Exchanger
from .generator import RunClock, generate
from .outcome import Generator, Outcome, dump
from .request import Request, ScheduleError, read_schedule


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m din.inference.load",
        description="Sends a schedule of requests in an open loop and writes what came of each, one JSON "
        "object a line; the last line says how well the generator itself did.",
    )
    add = parser.add_argument
    add("--schedule", type=Path, required=True, metavar="FILE", help="of `din.inference.load.write_schedule`")
    add("--out", type=Path, required=True, metavar="FILE")
    add("--model", action="append", default=[], metavar="SERVICE=NAME", help="what is asked for at a service")
    add("--base-url", action="append", default=[], metavar="SERVICE=URL", help="http://ADDRESS:PORT/v1")
    add("--choose", choices=("network", "least-queue"), default="network", help="who chooses the instance")
    add(
        "--instance",
        action="append",
        default=[],
        metavar="SERVICE,NAME,URL,METRICS",
        help="for least-queue: an instance, its base URL and its metrics",
    )
    add(
        "--poll",
        type=float,
        default=1.0,
        metavar="S",
        help="how often least-queue polls (default %(default)s)",
    )
    add(
        "--start-at",
        type=float,
        metavar="TIME",
        help="second 0 of the schedule, s since 1970 (default: in a second)",
    )
    add("--stop-after", type=float, metavar="S", help="end then, and cut what is under way (default: wait)")
    add("--timeout", type=float, default=60.0, metavar="S", help="of a whole answer (default %(default)s)")
    add(
        "--scale-bytes",
        type=float,
        default=1.0,
        help="bytes of a prompt, against the real (default %(default)s)",
    )
    return parser


def _pairs(values: Sequence[str], option: str, parser: argparse.ArgumentParser) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        service, equals, rest = value.partition("=")
        if not (service and equals and rest):
            parser.error(f"{option} is SERVICE=…, not {value!r}")
        found[service] = rest
    return found


def _choice(arguments: argparse.Namespace, services: set[str], parser: argparse.ArgumentParser) -> Choice:
    models = _pairs(arguments.model, "--model", parser)
    urls = _pairs(arguments.base_url, "--base-url", parser)
    endpoints: dict[str, list[Endpoint]] = {}
    for value in arguments.instance:
        parts = value.split(",")
        if len(parts) != 4 or not all(parts):
            parser.error(f"--instance is SERVICE,NAME,URL,METRICS, not {value!r}")
        endpoints.setdefault(parts[0], []).append(Endpoint(*parts[1:]))
    places = ("--base-url", set(urls)) if arguments.choose == "network" else ("--instance", set(endpoints))
    for url in [
        *urls.values(),
        *(each for found in endpoints.values() for one in found for each in one.urls),
    ]:
        if (why := _no_url(url)) is not None:
            parser.error(f"http://ADDRESS:PORT/… is expected, not {url!r}{why}")
    for option, have in (("--model", set(models)), places):
        for service in sorted(services - have):
            parser.error(f"the schedule has requests for {service}, but no {option} {service} is given")
    if arguments.choose == "least-queue":
        return LeastQueue(endpoints, models)
    return ByNetwork({each: Target(urls[each], models[each]) for each in services})


def _no_url(text: str) -> str | None:
    """None: it is one."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        return f": {error}"
    return None if good else ""


class _Output:
    """Whole lines at once: whoever kills this process loses none that was written. OSError names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO = path.open("wb", buffering=0)

    def write(self, record: Outcome | Generator) -> None:
        data = memoryview(f"{dump(record)}\n".encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def close(self) -> None:
        self._file.close()


async def _run(arguments: argparse.Namespace, schedule: Sequence[Request], choice: Choice) -> None:
    clock = RunClock(time.time() + 1 if arguments.start_at is None else arguments.start_at)
    exchanger = Exchanger(clock, timeout=arguments.timeout, byte_scale=arguments.scale_bytes)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await exchanger.warm_up()
    polling = asyncio.create_task(choice.poll(arguments.poll)) if isinstance(choice, LeastQueue) else None
    with closing(_Output(arguments.out)) as output:
        try:
            generator = await generate(
                schedule, choice, exchanger, clock, output.write, stop=stop, stop_after=arguments.stop_after
            )
            if polling is not None and polling.done():
                polling.result()  # it ends by its own fault alone: what it chose by was not what is measured
            output.write(generator)
        finally:
            if polling is not None:
                polling.cancel()
            await exchanger.aclose()


def main(argv: Sequence[str] | None = None) -> int:
    """0: ran, however the requests fared. 1: a file could not be read or written. 2: wrong use."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    for option in ("poll", "timeout", "scale_bytes"):
        if not getattr(arguments, option) > 0:
            parser.error(f"--{option.replace('_', '-')} must be positive")
    try:
        schedule = list(read_schedule(arguments.schedule))
        choice = _choice(arguments, {each.service for each in schedule}, parser)
        # The schedule lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        uvloop.run(_run(arguments, schedule, choice))
    except (OSError, ScheduleError) as error:
        print(f"din.inference.load: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
