# SPDX-License-Identifier: Apache-2.0
"""What all of these tests' processes know. Those of hosts do without scapy, which leaves' tests load."""

from __future__ import annotations

from typing import Any

TENANT, SERVICE, SERVICE6 = 7, 77, "2001:db8:200::1"
SWITCH_MAC = "02:00:00:00:00:fe"
KEY_ID, MASTER = 3, bytes(range(16))
SCHEDULED, GROUP = 3, 40
CLIENT6, CLIENT4 = "2001:db8:1::5", "10.1.0.5"
SERVERS6, SERVER4 = ("2001:db8:2::1", "2001:db8:2::2"), "10.2.0.1"
ECHO_PORT = 9000
MODEL = "llama"
SERVICE_NAME, LEAF_NAME, TENANT_NAME = "chat", "leaf", "acme"
PEER = (SERVERS6[0], ECHO_PORT)
CLAIM: dict[str, Any] = {"tenant": TENANT, "service": 0, "label": 0, "deadline_ms": 250}
NO_AGENT = "/nowhere/agent.sock"
