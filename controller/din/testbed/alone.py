# SPDX-License-Identifier: Apache-2.0
"""``python -m din.testbed.alone FILE STATE``: only a controller, of switches that are there, until it is told
to stop.

It says on stdout what `inside` says of a whole network. Its switches go on without it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from din.api.client import Client, NotRunningError

from .inside import say
from .keeper import tied
from .testbed import CONTROLLER

#: Seconds: for switches to be programmed before the others are no longer waited for, and between looks.
_SETTLE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0


async def main(file: str, state: Path) -> int:
    """Exit status: 0 when it was told to stop, 1 when it could not start, and said why."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    controller = await _start(state, [file])
    if controller is None:
        say(error=f"the controller does not start ({state / 'controller.log'})")
        return 1
    await _settle(state / CONTROLLER)
    say(ready=True)
    ending = asyncio.create_task(stopping.wait())
    while not stopping.is_set():
        ended = asyncio.create_task(controller.wait())
        await asyncio.wait([ending, ended], return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            break
        say(crashed="the controller has ended; the network goes on, and it is started again")
        while (again := await _start(state, [])) is None and not stopping.is_set():
            await asyncio.sleep(_RETRY_SECONDS)
        controller = again or controller
    with suppress(ProcessLookupError):
        controller.terminate()
    await controller.wait()
    return 0


async def _start(state: Path, model: Sequence[str]) -> asyncio.subprocess.Process | None:
    """Until it serves; None: it does not start. Without a model it resumes the last revision."""
    with (state / "controller.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *tied(sys.executable, "-m", "din.controller", *model, "--state", str(state / CONTROLLER)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    return process if await process.stdout.readline() else None


async def _settle(state: Path) -> None:
    """Until every switch that can be reached holds what it is to hold."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
    with Client(state) as client:
        while asyncio.get_running_loop().time() < deadline:
            try:
                switches = (await asyncio.to_thread(client.status)).switches
            except NotRunningError:
                return
            settled = [each for each in switches if each.primary and not each.pending]
            say(progress="switches programmed", done=len(settled), total=len(switches))
            if len(settled) == len(switches):
                return
            await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]))))
