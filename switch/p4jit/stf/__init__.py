# SPDX-License-Identifier: Apache-2.0
"""p4c's STF tests: read them, run them on a device in virtual time, show what differs."""

from __future__ import annotations
