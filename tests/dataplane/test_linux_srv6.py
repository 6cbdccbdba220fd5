# SPDX-License-Identifier: Apache-2.0
"""The fabric's headers are RFC 9800's: Linux understands them as one hop of a path."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dataplane.frames import ethernet
from tests.dataplane.linux_chain import B_MAC, HOST_MAC

ROOT = Path(__file__).parents[2]


def why_not() -> str | None:
    if shutil.which("ip") is None:
        return "ip is not installed (Debian: iproute2)"
    probe = (
        "ip link add p0 type veth peer name p1 && ip link set p0 up && ip -6 route add fcbb:bb00:1::/48 "
        "encap seg6local action End flavors next-csid lblen 32 nflen 16 dev p0"
    )
    tried = subprocess.run(["unshare", "--net", "sh", "-c", probe], capture_output=True, text=True)
    return f"no namespace with seg6local and next-csid: {tried.stderr.strip()}" if tried.returncode else None


def test_linux_is_a_hop_of_the_path() -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.dataplane.linux_chain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for line in lines:
        inner = bytes.fromhex(line["inner"])
        ether_type = 0x0800 if inner[0] >> 4 == 4 else 0x86DD
        assert [[port, bytes.fromhex(frame)] for port, frame in line["out"]] == [
            [2, ethernet(HOST_MAC, B_MAC, ether_type) + inner]
        ]
