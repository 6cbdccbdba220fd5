# SPDX-License-Identifier: Apache-2.0
"""``python -m din.testbed.inside FILE STATE TARGET``, in a sandbox: a whole network until it is told to stop.

What it has to say is on stdout, a JSON object a line: ``{"progress": WHAT, "done": N, "total": N}``, then
``{"ready": true}`` or ``{"error": TEXT}``, and ``{"crashed": TEXT}`` whenever a part of it ends by itself.
A controller that does is started again, with the revision that was in force. Whenever another one is, model
servers and service addresses become as it has them: ``{"followed": TEXT}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from din.emulation.control import serve, socket_path
from din.emulation.errors import EmulationError
from din.model.load import load, parse
from din.model.problem import ModelError
from din.model.topology import Target

from .testbed import CONTROLLER, Testbed, TestbedError

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: Seconds between attempts to start a controller again.
_RETRY_SECONDS: Final = 1.0
#: Between looks for another revision.
_LOOK_SECONDS: Final = 0.2


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main(file: str, state: str, target: str) -> int:
    """Exit status: 0 when it was told to stop, 1 when it could not start, and said why."""
    # Until there is something to take down orderly, the sandbox's end takes down all.
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    try:
        path = socket_path(Path(state))
        testbed = Testbed(
            load(file),
            Path(file),
            Path(state),
            Target(target),
            crashed=lambda process: say(crashed=process.failure()),
        )
        testbed.start(lambda what, done, total: say(progress=what, done=done, total=total))
        asyncio.run(_serve(testbed, path))
        # It alone has something to write down. The rest goes with the sandbox, at once.
        testbed.stop_controller()
    except (EmulationError, TestbedError, ModelError, OSError) as error:
        say(error=str(error))
        return 1
    return 0


async def _serve(testbed: Testbed, path: Path) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    # One thing at a time is done to it.
    lock = asyncio.Lock()
    beside = [asyncio.create_task(each(testbed, lock)) for each in (_revive_controller, _follow_revisions)]
    await serve(testbed.emulation, path, stopping, lambda: say(ready=True))
    for task in beside:
        task.cancel()
    await asyncio.wait(beside)


async def _revive_controller(testbed: Testbed, lock: asyncio.Lock) -> None:
    while True:
        assert testbed.controller_pid is not None
        await _end_of(testbed.controller_pid)
        say(crashed=f"the controller has ended ({testbed.state}); it is started again")
        async with lock:
            await asyncio.to_thread(testbed.stop_controller)
        while testbed.controller_pid is None:
            async with lock:
                try:
                    await asyncio.to_thread(testbed.start_controller, resume=True)
                    continue
                except TestbedError as error:
                    say(crashed=str(error))
                    await asyncio.to_thread(testbed.stop_controller)
            await asyncio.sleep(_RETRY_SECONDS)


async def _follow_revisions(testbed: Testbed, lock: asyncio.Lock) -> None:
    last = _newest_revision(testbed)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if (newest := _newest_revision(testbed)) == last or newest is None:
            continue
        last = newest
        try:
            kept = json.loads(newest.read_text())
            async with lock:
                done = await asyncio.to_thread(testbed.follow, parse(kept["text"], kept["file"]))
            say(followed="; ".join([f"revision {kept['number']}", *done]))
        except (EmulationError, ModelError, OSError) as error:
            say(crashed=f"{newest.name}: {error}")


def _newest_revision(testbed: Testbed) -> Path | None:
    """As the controller keeps it (`din.controller.store`)."""
    return max((testbed.state / CONTROLLER / "revisions").glob("*.json"), default=None)


async def _end_of(pid: int) -> None:
    """Until the process has ended; its status is left for who waits."""
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
