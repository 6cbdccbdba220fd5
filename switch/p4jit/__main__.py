# SPDX-License-Identifier: Apache-2.0
"""``python -m p4jit``: the command line, for an interpreter whose scripts are not on PATH."""

from __future__ import annotations

import sys

from p4jit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
