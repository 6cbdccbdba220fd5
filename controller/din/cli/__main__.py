# SPDX-License-Identifier: Apache-2.0
"""``python -m din.cli`` is ``din``."""

from .main import main

main()
