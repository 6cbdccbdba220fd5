# SPDX-License-Identifier: Apache-2.0
"""The same network and load, smaller: for switches, or a machine, that do not carry all of it.

What comes per second, and what takes it, is multiplied by one factor: requests, clients' polls of queues,
the traffic of events, links, sequences and queues of model servers. So links and servers are as busy as
they were. Delays, the lengths of prompts and answers, and the time that one sequence takes stay as they
are; a frame takes longer on its links.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from din.model import document
from din.model.units import parse_rate

#: simple_switch_grpc takes 100 to 200 us for a packet where p4jit takes a few, and each token of an answer
#: passes four switches. With a sixteenth of topologies/enterprise.yaml's load a core is half busy.
BMV2_LOAD_PER_CORE: Final = 1 / 16


#: In a comparison's folder.
SCALED_FILE: Final = "scaled.yaml"


def bmv2_load(cores: int) -> float:
    """The factor for a machine with so many cores."""
    return min(1.0, cores * BMV2_LOAD_PER_CORE)


def scaled(text: str, file: Path, factor: float) -> str:
    """A model's YAML times ``factor``, more than 0 and at most 1, which it says in ``emulation.scale.load``.

    It may be kept elsewhere than in ``file``: paths in it are absolute. ModelError: it is not YAML.
    """
    model = document.read(text, str(file)).data
    for each in model.get("links", []):
        _multiply_rate(each, factor)
    for each in model.get("hosts", []):
        _multiply_rate(each, factor)
    for each in model.get("demand", []):
        each["requests_per_second"] *= factor
    for tenant in model.get("tenants", []):
        for each in tenant.get("keys", []):
            kind, _, where = each["source"].partition(":")
            if kind == "file":
                each["source"] = f"file:{_absolute(where, file)}"
    for tls in (model.get("management", {}).get("tls"), *(each.get("tls") for each in model["switches"])):
        for name in tls or ():
            tls[name] = _absolute(tls[name], file)
    _scale_emulation(model.setdefault("emulation", {}), factor)
    return str(yaml.safe_dump(model, sort_keys=False, allow_unicode=True))


def _scale_emulation(emulation: dict[str, Any], factor: float) -> None:
    scale = emulation.setdefault("scale", {})
    scale["load"] = scale.get("load", 1.0) * factor
    for profile in emulation.get("profiles", []):
        for name in ("max_sequences", "max_queue"):
            profile[name] = max(1, round(profile[name] * factor)) if profile[name] else 0
    comparison = emulation.get("comparison") or {}
    for each in comparison.get("loads", []):
        each["requests_per_second"] *= factor
    for phase in comparison.get("phases", []):
        for each in phase.get("events", []):
            _multiply_rate(each, factor)


def _multiply_rate(record: dict[str, Any], factor: float) -> None:
    if record.get("rate") is not None:
        record["rate"] = f"{max(1, round(parse_rate(record['rate']) * factor))}bit"


def _absolute(path: str, file: Path) -> str:
    return str(file.absolute().parent / path)
