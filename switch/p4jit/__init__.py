# SPDX-License-Identifier: Apache-2.0
"""p4jit: a P4 switch that compiles p4c's bmv2 JSON (v1model) to native code.

``Switch`` runs a program in memory, in virtual time: frames in, frames out. The command ``p4jit`` (or
``python -m p4jit``) runs it on network interfaces and serves P4Runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p4jit.target.switch import Switch

__version__ = "0.1.0"

__all__ = ["Switch", "__version__"]


def __getattr__(name: str) -> object:
    # The engine loads on first use, so that `p4jit --version` and the parsers stay quick.
    if name == "Switch":
        from p4jit.target.switch import Switch

        return Switch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
