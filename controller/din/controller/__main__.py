# SPDX-License-Identifier: Apache-2.0
"""The controller as a process: ``python -m din.controller MODEL --state DIR``.

It serves its API on DIR/controller.sock, and says on its standard output, one JSON object a line, when it is
ready. Ended by SIGINT or SIGTERM; switches then go on as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvicorn

from din.api.app import make_app
from din.api.client import SOCKET_NAME
from din.model.ids import OutOfNumbersError
from din.model.problem import ModelError
from din.model.topology import Target

from .controller import Controller
from .desired import Desired, prepare
from .operations import ControllerOperations
from .store import Store, StoreError

LOG = logging.getLogger("din.controller")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m din.controller", description=__doc__)
    parser.add_argument(
        "model", type=Path, nargs="?", help="YAML; without it the last revision that was applied"
    )
    parser.add_argument("--state", type=Path, required=True, help="directory of what outlives the process")
    parser.add_argument(
        "--addresses",
        type=Path,
        help="JSON file: switch -> address of its P4Runtime server, over the model's",
    )
    parser.add_argument(
        "--target",
        type=Target,
        choices=[Target.P4JIT, Target.BMV2],
        help="what all switches are, over the model's",
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser.parse_args(argv)


def _desired(store: Store, model: Path | None) -> Desired:
    """The file's model, a new revision if it is another text than the last one; or the last one."""
    revisions = store.revisions()
    last = revisions[-1] if revisions else None
    if model is None:
        if last is None:
            raise StoreError(f"{store.directory}: no revision was ever applied: name a model")
        return prepare(last.text, last.file, last.number, store.ids())
    file = str(model.resolve())
    text = model.read_text(encoding="utf-8")
    desired = prepare(text, file, 0, store.ids())
    if last is None or (last.text, last.file) != (text, file):
        last = store.add(text, file, "start")
    store.save_ids(desired.ids)
    return prepare(text, file, last.number, desired.ids)


def _listen(path: Path) -> socket.socket:
    """The API's socket. Who can open it may do everything: it is its owner's alone."""
    path.unlink(missing_ok=True)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        found.bind(str(path))
    finally:
        os.umask(before)
    return found


async def _serve(
    store: Store, desired: Desired, addresses: Mapping[str, str], emulated: Target | None
) -> None:
    controller = Controller(store, desired, addresses, emulated)
    path = store.directory / SOCKET_NAME
    config = uvicorn.Config(make_app(ControllerOperations(controller)), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    # Its own handlers would end the process before the controller has been left.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with controller.running():
        serving = asyncio.create_task(server._serve([_listen(path)]), name="api")
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
            raise StoreError(f"{path}: the API does not start: the log says why")
        print(json.dumps({"ready": True, "socket": str(path), "revision": desired.number}), flush=True)
        await stopping.wait()
        server.should_exit = True
        await serving
    path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """0: it was stopped; 1: it could not start, and said why."""
    arguments = _arguments(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        store = Store(arguments.state)
        addresses = json.loads(arguments.addresses.read_text()) if arguments.addresses else {}
        desired = _desired(store, arguments.model)
        for problem in desired.warnings:
            LOG.warning("%s", problem)
        missing = [
            each.name for each in desired.model.switches if not (addresses.get(each.name) or each.address)
        ]
        if missing:
            raise StoreError(
                f"no P4Runtime address is known of {', '.join(missing)}: give `address` in the model"
            )
        asyncio.run(_serve(store, desired, addresses, arguments.target))
    except (StoreError, ModelError, OutOfNumbersError, OSError, ValueError) as error:
        print(f"din.controller: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
