# SPDX-License-Identifier: Apache-2.0
"""p4runtime-shell that only reads. A script for its environment, which has nothing of ours.

An election ID that never wins is not enough: simple_switch_grpc makes whoever is alone the primary.
"""

from __future__ import annotations

import importlib
from typing import Any

_WRITING = ("write", "write_update", "set_fwd_pipe_config")


def main() -> None:
    shell: Any = importlib.import_module("p4runtime_sh.shell")
    client: Any = importlib.import_module("p4runtime_sh.p4runtime").P4RuntimeClient

    def refuse(*_: object, **__: object) -> None:
        # Of the shell's errors, the kind that is shown without a traceback.
        raise shell.UserError("this shell only reads: leave it, and take din shell --write")

    for name in _WRITING:
        setattr(client, name, refuse)
    shell.main()


if __name__ == "__main__":
    main()
