# SPDX-License-Identifier: Apache-2.0
"""Model servers in hosts: the command of one, and its speed while it runs."""

from __future__ import annotations

import json
import urllib.request
from urllib.parse import urljoin

from ..measure.targets import url
from ..model.network import Model
from ..model.wiring import Wiring
from .errors import EmulationError

_SECONDS = 5.0


def slow_down(model: Model, wiring: Wiring, name: str, factor: float) -> None:
    """Have a server take ``factor`` times as long. EmulationError: no such instance, or it refuses."""
    if name not in model.instance:
        raise EmulationError(f"there is no instance {name}")
    instance = model.instance[name]
    request = urllib.request.Request(
        urljoin(url(instance.metrics, instance, wiring), "/admin/slowdown"),
        json.dumps({"factor": factor}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=_SECONDS).close()
    except OSError as error:
        raise EmulationError(f"instance {name} was not slowed down: {error}") from None
