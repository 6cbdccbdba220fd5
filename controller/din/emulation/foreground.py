# SPDX-License-Identifier: Apache-2.0
"""``python -m din.emulation.foreground FILE DIR TARGET``, in a sandbox: start, serve, stop.

What it has to say is on stdout, a JSON object a line: ``{"progress": WHAT, "done": N, "total": N}``, then
``{"ready": {SWITCH: ADDRESS}}``, and ``{"crashed": TEXT}`` whenever a program ends with an error by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..model.load import load
from ..model.problem import ModelError
from ..model.topology import Target
from ..model.wiring import Wiring
from .control import serve, socket_path
from .errors import EmulationError
from .supervisor import Emulation

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(file: str, state: str, target: str) -> int:
    """Exit status: 0 when it was told to stop, 1 when it could not start."""
    # Until there is something to take down orderly, the sandbox's end takes down all.
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    try:
        folder = Path(state)
        folder.mkdir(parents=True, exist_ok=True)
        path = socket_path(folder)
        model = load(file)
        emulation = Emulation(
            model,
            Wiring(model),
            folder,
            Target(target),
            files=Path(file).absolute().parent,
            crashed=lambda process: _say(crashed=process.failure()),
        )
        emulation.start(lambda what, done, total: _say(progress=what, done=done, total=total))
        asyncio.run(_serve(emulation, path))
        emulation.stop()
    except (EmulationError, ModelError, OSError) as error:
        print(f"din.emulation: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(emulation: Emulation, path: Path) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    await serve(emulation, path, stopping, lambda: _say(ready=emulation.addresses))


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
