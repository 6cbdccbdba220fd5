# SPDX-License-Identifier: Apache-2.0
"""``python -m din.inference.server``. Exits: 0 after a drain, 1 it cannot listen, 2 wrong options."""

from __future__ import annotations

import asyncio
import logging
import sys

from .options import parse
from .server import ListenError, run


def main() -> int:
    options = parse()
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {options.name}: %(message)s", stream=sys.stderr
    )
    try:
        asyncio.run(run(options))
    except ListenError as error:
        print(f"{options.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
