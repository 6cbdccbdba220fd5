# SPDX-License-Identifier: Apache-2.0
"""Who starts sandboxes: whoever runs the tests and, if that is root, one without capabilities as well."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.din.emulation.outside import WITHOUT_CAPABILITIES


@pytest.fixture(params=["as we are", "without capabilities"])
def as_user(request: pytest.FixtureRequest) -> Sequence[str]:
    """What to put before a command."""
    if request.param == "as we are":
        return ()
    if os.geteuid() != 0:
        pytest.skip("we have no capabilities as we are")
    return WITHOUT_CAPABILITIES
