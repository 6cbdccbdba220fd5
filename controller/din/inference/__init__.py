# SPDX-License-Identifier: Apache-2.0
"""Hosts: what applications import, a model server for test beds, and load for it.

Client, AsyncClient   `openai`'s, each of whose requests the network steers
server                python -m din.inference.server
load                  python -m din.inference.load
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    # Only who asks for a client waits for `openai` to load: the server does without.
    if name in __all__:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
