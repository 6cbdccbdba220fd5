# SPDX-License-Identifier: Apache-2.0
"""Hosts: what applications import, the agent that hosts run, a model server for test beds, and load for it.

Client, AsyncClient    `openai`'s, each of whose requests is steered
ControllerSteering     by the controller, where the network is not to choose
mark, refresh, moved   say of a socket what its packets are; Marking, How, Keyring go with it
agent                  python -m din.inference.agent
server                 python -m din.inference.server
load                   python -m din.inference.load
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .client import AsyncClient, Client
    from .marking import How, Keyring, Marking, mark, moved, refresh
    from .steering import ControllerSteering

__all__ = [
    "AsyncClient",
    "Client",
    "ControllerSteering",
    "How",
    "Keyring",
    "Marking",
    "mark",
    "moved",
    "refresh",
]

_MODULES: Final = {"AsyncClient": "client", "Client": "client", "ControllerSteering": "steering"}


def __getattr__(name: str) -> Any:
    # Only who asks for a client waits for `openai` to load: the server does without.
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'marking')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
