# SPDX-License-Identifier: Apache-2.0
"""What is wrong between the parts of a model, and what would be right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from . import document
from .checks import addresses, emulated, policies, references, services, telemetry, wires
from .checks.files import check_files
from .document import Document
from .load import build, read
from .network import Model
from .problem import Problem, Severity

__all__ = ["CHECKS", "check", "check_document", "check_file", "check_files", "check_text", "has_errors"]

Check = Callable[[Model], Iterator[Problem]]

CHECKS: Final[tuple[Check, ...]] = (
    references.check_names,
    references.check_references,
    wires.check_switches,
    wires.check_ports,
    wires.check_paths,
    wires.check_mtu,
    addresses.check_gateways,
    addresses.check_hosts,
    addresses.check_service_addresses,
    addresses.check_families,
    services.check_names_served,
    services.check_instances,
    services.check_urls,
    services.check_variants,
    services.check_clients,
    policies.check_policy_matches,
    policies.check_policies,
    policies.check_latency_budgets,
    policies.check_labelled_paths,
    policies.check_labelled_demand,
    telemetry.check_watch,
    telemetry.check_collectors,
    emulated.check_profiles,
    emulated.check_loads,
    emulated.check_events,
)


def check(model: Model) -> list[Problem]:
    """All problems between the parts, errors first. Pure; without files and lines."""
    return _sorted([problem for each in CHECKS for problem in each(model)])


def check_file(path: str | os.PathLike[str]) -> tuple[Model, list[Problem]]:
    """The model of a file, and what is wrong between its parts and with files it names, with lines.

    ModelError: the file has not the form of a model.
    """
    return check_document(read(path))


def check_text(text: str, file: str) -> tuple[Model, list[Problem]]:
    """As `check_file`, of text that is, or was, in the file of that name."""
    return check_document(document.read(text, file))


def check_document(source: Document, *further: Check) -> tuple[Model, list[Problem]]:
    """As `check_file`. ``further`` checks know of more than models; they look at those without errors."""
    model = build(source)
    problems = [*check(model), *check_files(model, Path(source.file).parent)]
    for each in further:
        if not has_errors(problems):
            problems += each(model)
    return model, _sorted([replace(each, file=source.file, line=source.line(each.at)) for each in problems])


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(each.severity is Severity.ERROR for each in problems)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.severity is not Severity.ERROR, problem.line))
