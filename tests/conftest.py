# SPDX-License-Identifier: Apache-2.0
"""Settings for every test: Hypothesis without deadlines (a busy machine is not a failure)."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("default", deadline=None)
# The same examples on every run, so that a red build is about the change and can be repeated.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
