# SPDX-License-Identifier: Apache-2.0
"""Programs in a sandbox, or in a host of it, from outside: commands for nsenter(1) and mnexec."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_USER = "ns/user"


def into_sandbox(init: int, argv: Sequence[str], folder: Path) -> list[str]:
    """``init``: the sandbox's first process. In the switches' network; the program ends with the sandbox.

    OSError: the sandbox has gone, or is another user's.
    """
    # Root's has perhaps no user namespace of its own, and nobody can enter the one where he is.
    ours, its = (os.stat(f"/proc/{who}/{_USER}").st_ino for who in ("self", init))
    user = [] if ours == its else ["--user", "--preserve-credentials"]
    return [
        *("nsenter", "--target", str(init), *user, "--mount", "--net", "--pid", "--"),
        *("env", "-C", str(folder), *argv),
    ]


def into_host(init: int, host: int, argv: Sequence[str], folder: Path) -> list[str]:
    """``host``: PID of its shell, as it is in the sandbox. OSError: as above."""
    # env, because mnexec's exit status does not tell that there is no such program (127) from the program's.
    return into_sandbox(init, ["mnexec", "-a", str(host), "env", "--", *argv], folder)
