# SPDX-License-Identifier: Apache-2.0
"""One revision made ready to decide on: the model, its wires, the numbers of its names, what is steered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from din.model.check import check_text
from din.model.ids import Ids, assign, group_name
from din.model.keys import epoch_key, installed_epochs
from din.model.load import resolve_key
from din.model.network import Model
from din.model.problem import ModelError, Problem, Severity
from din.model.wiring import Wiring
from din.p4rt.compile import Secrets
from din.p4rt.compile.context import CLASS_OF
from din.steering.aggregates import aggregates
from din.steering.plan import Aggregate


@dataclass(frozen=True)
class Desired:
    number: int  # of the revision
    file: str
    model: Model
    wiring: Wiring
    ids: Ids
    aggregates: tuple[Aggregate, ...]
    warnings: tuple[Problem, ...]

    @property
    def base(self) -> Path:
        """What file names in the model are relative to."""
        return Path(self.file).parent

    def secrets(self, unix_time: float) -> Secrets:
        """The keys that leaves are to have at a time."""
        found: dict[tuple[str, int, int], tuple[bytes, int]] = {}
        for tenant in self.model.tenants:
            for key in tenant.keys:
                master = resolve_key(key, self.base)
                classes = sum(1 << CLASS_OF[each] for each in set(key.classes))
                for epoch in installed_epochs(unix_time):
                    found[tenant.name, key.id, epoch & 0xFF] = epoch_key(master, key.id, epoch), classes
        return Secrets(found)


def prepare(text: str, file: str, number: int, before: Ids | None) -> Desired:
    """ModelError: it cannot be, and every reason why."""
    model, problems = check_text(text, file)
    if any(each.severity is Severity.ERROR for each in problems):
        raise ModelError(problems)
    wiring = Wiring(model)
    steered = tuple(aggregates(model, wiring))
    groups = dict.fromkeys(group_name(*each.group) for each in steered)
    return Desired(number, file, model, wiring, assign(model, groups, before), steered, tuple(problems))
