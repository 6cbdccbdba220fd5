# SPDX-License-Identifier: Apache-2.0
"""What a host of these tests does before anything else, in its namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.din.inference_sdk.numbers import SWITCH_MAC


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def wait(word: str) -> None:
    said = sys.stdin.readline().strip()
    assert said == word, said


def set_up(interface: str, *addresses: str, loopback: str = "") -> None:
    """All there is leads to the leaf, which is a router that never needs to be asked for."""
    say("here")
    wait("go")
    commands = [
        "link set lo up",
        f"link set {interface} up",
        *(f"addr add {each} dev {interface} {'nodad' if ':' in each else ''}" for each in addresses),
        *([f"addr add {loopback} dev lo nodad"] if loopback else []),
        f"neigh add fe80::fe lladdr {SWITCH_MAC} dev {interface} nud permanent",
        f"neigh add 169.254.0.254 lladdr {SWITCH_MAC} dev {interface} nud permanent",
        f"route add default via fe80::fe dev {interface}",
        f"route add default via 169.254.0.254 dev {interface} onlink",
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
