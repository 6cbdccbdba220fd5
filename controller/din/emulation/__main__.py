# SPDX-License-Identifier: Apache-2.0
"""``python -m din.emulation FILE --state DIR``: a model's network in the foreground, until SIGINT or SIGTERM.

It goes into a sandbox by itself; what it says there is described in `foreground`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when it was told to stop, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m din.emulation", description="Emulate a model's network.")
    parser.add_argument("file", metavar="FILE", help="the model, in YAML")
    parser.add_argument("--state", required=True, metavar="DIR", help="where logs and the socket go")
    parser.add_argument("--target", choices=("p4jit", "bmv2"), default="p4jit")
    options = parser.parse_args(arguments)
    program = (sys.executable, "-m", "din.emulation.foreground")
    try:
        return sandbox.run([*program, options.file, options.state, options.target])
    except sandbox.SandboxError as error:
        print(f"din.emulation: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
