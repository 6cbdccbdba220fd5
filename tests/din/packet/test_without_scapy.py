# SPDX-License-Identifier: Apache-2.0
"""Constants and the hash need nothing; the layers say what they need."""

from __future__ import annotations

import subprocess
import sys

_NO_SCAPY = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "scapy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _NO_SCAPY + program], capture_output=True, text=True, check=False
    )


def test_constants_and_hash() -> None:
    done = _run("from din.packet.constants import DIN_SID_BLOCK\nfrom din.packet.halfsiphash import host_tag")
    assert done.returncode == 0, done.stderr


def test_layers_say_what_to_install() -> None:
    for program in ("from din.packet import DINHostOption", "import din.packet.layers.report"):
        done = _run(program)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(
            "ImportError: din.packet's layers need scapy: pip install din-fabric[packet]"
        )


def test_unknown_names() -> None:
    done = _run("import din.packet; din.packet.Nothing")
    assert "AttributeError: module 'din.packet' has no attribute 'Nothing'" in done.stderr
