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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn
from pydantic import TypeAdapter, ValidationError

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

#: sun_path of unix(7), its last byte a zero.
_LONGEST_SOCKET: Final = 107
#: Whole seconds that whoever is being answered has when we are stopped.
_LEAVE_SECONDS: Final = 1


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
    try:
        text = model.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(f"{file}: byte {error.start} is not UTF-8") from None
    desired = prepare(text, file, 0, store.ids())
    store.save_ids(desired.ids)
    if last is None or (last.text, last.file) != (text, file):
        last = store.add(text, file, "start")
    return replace(desired, number=last.number)


def _addresses(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(file.read_bytes())
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise StoreError(f"{file}: {what}. It is to be a JSON object: switch -> address") from None


def _listen(path: Path) -> socket.socket:
    """The API's socket. Who can open it may do everything: it is its owner's alone.

    StoreError: there can be none.
    """
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET:
        raise StoreError(
            f"{path}: the API's socket cannot have a path of {length} bytes, {_LONGEST_SOCKET} are the most: "
            "choose a shorter directory with --state"
        )
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        # What an earlier controller has left; a living one would have the directory's lock.
        path.unlink(missing_ok=True)
        found.bind(str(path))
    except OSError as error:
        found.close()
        raise StoreError(f"{path}: the API's socket cannot be made: {error.strerror}") from None
    finally:
        os.umask(before)
    return found


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: its own handlers would end the process before the controller has been left."""
        yield


async def _serve(
    store: Store, desired: Desired, addresses: Mapping[str, str], emulated: Target | None
) -> None:
    path = store.directory / SOCKET_NAME
    # Before any switch is touched.
    listening = _listen(path)
    controller = Controller(store, desired, addresses, emulated)
    server = _Server(
        uvicorn.Config(
            make_app(ControllerOperations(controller)),
            log_level="warning",
            lifespan="off",
            # Who watches a drain would be waited for until it ends.
            timeout_graceful_shutdown=_LEAVE_SECONDS,
        )
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with controller.running():
            serving = asyncio.create_task(server.serve([listening]), name="api")
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            if not serving.done():
                ready = {"ready": True, "socket": str(path), "revision": desired.number}
                print(json.dumps(ready), flush=True)
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                stopped.cancel()
                serving.result()
                raise StoreError(f"{path}: the API has ended: the log says why")
            # Who is cut off then is no error.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            server.should_exit = True
            await serving
    finally:
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
        addresses = _addresses(arguments.addresses)
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
