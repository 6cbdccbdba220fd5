# SPDX-License-Identifier: Apache-2.0
"""A process without CAP_NET_RAW. Its argument is an agent's socket."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from din.inference.marking import Keyring, mark
from din.model.service import TrafficClassName

from tests.din.inference_sdk.exchange import exchange, shown
from tests.din.inference_sdk.network import say
from tests.din.inference_sdk.numbers import (
    CLAIM,
    KEY_ID,
    MASTER,
    NO_AGENT,
    PEER,
    SERVICE_NAME,
    TENANT,
    TENANT_NAME,
)

KEYRING = Keyring.of(TENANT, KEY_ID, MASTER, [TrafficClassName.SCHEDULED])


def unprivileged(agent: str) -> dict[str, Any]:
    found = {}
    for name, how in {
        "agent": {"agent": agent, "tenant": TENANT_NAME, "service": SERVICE_NAME},
        "refused": {"agent": agent, "label": "secret"},
        "no agent": {"agent": NO_AGENT, "keyring": KEYRING},
    }.items():
        with socket.socket(socket.AF_INET6) as sock:
            marking = mark(sock, peer=PEER, **{**CLAIM, **how})
            sock.connect(PEER)
            found[name] = shown(marking, sock, whole=exchange(sock, os.urandom(20_000)))
    return found


if __name__ == "__main__":
    say(unprivileged(sys.argv[1]))
