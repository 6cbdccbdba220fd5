# SPDX-License-Identifier: Apache-2.0
"""Which network a command is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from din.api.client import SOCKET_NAME, Client, NotRunningError
from din.model.load import parse
from din.model.network import Model
from din.testbed import networks
from din.testbed.networks import Network

from .errors import CommandError, Exit


@dataclass(frozen=True)
class Found:
    """``network`` None: a controller that runs by itself."""

    state: Path
    network: Network | None

    @property
    def controller_state(self) -> Path:
        return networks.controller_state(self.state)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """CommandError, NotRunningError: the controller does not answer, or not yet."""
        if self.network is not None and not self.network.note.ready:
            raise CommandError(f"{self.network.name} is coming up: try again in a moment", Exit.NOT_RUNNING)
        with Client(self.controller_state) as client:
            try:
                yield client
            except NotRunningError:
                if self.network is None:
                    raise
                raise CommandError(
                    f"{self.network.name} is up, but its controller does not answer now. "
                    f"It is started again whenever it ends; its log is {self.state / 'controller.log'}",
                    Exit.NOT_RUNNING,
                ) from None

    def init(self) -> int:
        """PID of the sandbox's first process. CommandError: there is none."""
        if self.network is None or not self.network.note.target:
            raise CommandError("its switches are not emulated here: there is nothing to get into")
        if self.network.note.init is None:
            raise CommandError(f"{self.network.name} is coming up: try again in a moment", Exit.NOT_RUNNING)
        return self.network.note.init

    def model(self, revision: int) -> tuple[Model, Path]:
        """The model of a revision, and the folder that its files are relative to. CommandError."""
        path = self.controller_state / "revisions" / f"{revision:06}.json"
        try:
            kept = json.loads(path.read_bytes())
            return parse(kept["text"], kept["file"]), Path(kept["file"]).parent
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"{path}: {error}") from None


def find(state: Path | None, name: str | None) -> Found:
    """CommandError: there is none, or there are several."""
    if state is not None:
        network = networks.at(state.absolute())
        if network is not None and name not in (None, network.name):
            raise CommandError(f"the network with its state in {state} is {network.name}", Exit.USAGE)
        if network is None and not (networks.controller_state(state) / SOCKET_NAME).exists():
            raise CommandError(f"no network is up with its state in {state}", Exit.NOT_RUNNING)
        return Found(state.absolute(), network)
    up = networks.running()
    matching = [each for each in up if name in (None, each.name)]
    if not matching:
        others = f" (there is {', '.join(each.name for each in up)})" if up else ""
        which = f"network {name}" if name else "network"
        raise CommandError(f"no {which} is up{others}. Start one: din up FILE", Exit.NOT_RUNNING)
    if len(matching) > 1:
        listed = "".join(f"\n  {each.name}  --state {each.state}" for each in matching)
        raise CommandError(
            f"several networks are up: say which, with --network or --state{listed}", Exit.USAGE
        )
    return Found(matching[0].state, matching[0])
