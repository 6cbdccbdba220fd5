# SPDX-License-Identifier: Apache-2.0
"""Numbers for names: what the data plane knows them by.

A name keeps its number for as long as it exists, whatever is edited around it: that is why an edit of one
service touches only its entries. A name that is gone and comes back, as in a rollback, has its number again;
nobody else is given it unless no other is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from .network import Model

#: Kind -> (lowest, highest). Tenant 0 is the fabric's own; label 0 is unlabelled; 0 is nobody elsewhere.
RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "tenant": (1, 65535),
    "service": (1, 65535),
    "instance": (1, 4095),
    "node": (1, 0x0FFF),
    "zone": (1, 255),
    "label": (1, 254),
    "group": (1, 4095),
    "collector": (1, 63),
}
#: Of a leaf's functions.
FUNCTIONS: Final = (1, 0x0FFF)
#: The label of what has none.
PUBLIC: Final = "public"
#: SIDs: node n is fcbb:bb00:n, its function f has the ID 0xe000 + f behind it: no ID is both.
FUNCTION_BASE: Final = 0xE000
#: Decapsulates, and looks the inner destination up (End.DT46): of every leaf.
LOOKUP_FUNCTION: Final = 0


class OutOfNumbersError(ValueError):
    """More names of a kind than the data plane has numbers for: ``most``."""

    def __init__(self, kind: str, most: int) -> None:
        super().__init__(f"more than {most} names of kind {kind}")
        self.kind = kind
        self.most = most


@dataclass(frozen=True)
class Ids:
    """Kind -> name -> number: of names that there are, and of names that are gone."""

    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gone: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def of(self, kind: str, name: str) -> int:
        """KeyError: no such name."""
        return self.numbers[kind][name]

    def name(self, kind: str, number: int) -> str | None:
        """Whose number it is."""
        return next((name for name, n in self.numbers.get(kind, {}).items() if n == number), None)

    def label(self, name: str | None) -> int:
        """None, "" and "public" are unlabelled: 0."""
        return self.of("label", name) if name and name != PUBLIC else 0


def group_name(service: str, tenant: str, traffic_class: str, label: str | None) -> str:
    """What a steering group is known by. Leaves have the same groups, with buckets of their own."""
    return f"{service}/{tenant}/{traffic_class}/{label or PUBLIC}"


def host_function(host: str) -> str:
    """What the function that delivers to a host is known by."""
    return f"host/{host}"


def instance_function(instance: str) -> str:
    """What the function that delivers to an instance is known by."""
    return f"instance/{instance}"


def function_kind(leaf: str) -> str:
    """Functions are numbered for each leaf by itself."""
    return f"function/{leaf}"


def _allocate(
    kind: str, names: Iterable[str], before: Mapping[str, int], gone: Mapping[str, int], highest: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of ``names``, and those to remember of names that are gone."""
    lowest = RANGES.get(kind, FUNCTIONS)[0]
    wanted = dict.fromkeys(names)
    found: dict[str, int] = {}
    #: Number -> whose it was. What is in use comes first; of two that claim one number, the first has it.
    owners: dict[int, str] = {}
    for name, number in (*before.items(), *gone.items()):
        if lowest <= number <= highest and number not in owners:
            owners[number] = name
            if name in wanted:
                found.setdefault(name, number)
    kept = set(found.values())
    # A late packet or report of an old name is nobody's while its number is.
    free = chain(
        (number for number in range(lowest, highest + 1) if number not in owners),
        (number for number in sorted(owners) if number not in kept),
    )
    for name in wanted:
        if name not in found:
            number = next(free, 0)
            if not number:
                raise OutOfNumbersError(kind, highest - lowest + 1)
            found[name] = number
    used = set(found.values())
    return found, {
        name: number for number, name in owners.items() if name not in found and number not in used
    }


def assign(model: Model, groups: Iterable[str], before: Ids | None = None) -> Ids:
    """Numbers for everything in ``model``, those in ``before`` kept. Functions are of a leaf.

    OutOfNumbersError: too many names.
    """
    old = before or Ids()
    names: dict[str, Iterable[str]] = {
        "tenant": (each.name for each in model.tenants),
        "service": (each.name for each in model.services),
        "instance": (each.name for each in model.instances),
        "node": (each.name for each in model.switches),
        "zone": (each.name for each in model.zones),
        "label": (each.name for each in model.labels),
        "collector": (each.name for each in model.telemetry.collectors),
        "group": groups,
    }
    for leaf in (each.name for each in model.switches):
        hosts = [each.name for each in model.hosts if each.leaf == leaf]
        instances = [each.name for each in model.instances if each.host in hosts]
        names[function_kind(leaf)] = [
            *(host_function(each) for each in hosts),
            *(instance_function(each) for each in instances),
        ]
    #: A node's reports have the address of its number.
    sources = model.fabric.report_sources.num_addresses - 2
    numbers: dict[str, dict[str, int]] = {}
    gone: dict[str, dict[str, int]] = {}
    for kind in dict.fromkeys((*names, *old.numbers, *old.gone)):  # a leaf's functions go with it
        highest = RANGES.get(kind, FUNCTIONS)[1]
        numbers[kind], gone[kind] = _allocate(
            kind,
            names.get(kind, ()),
            old.numbers.get(kind, {}),
            old.gone.get(kind, {}),
            min(highest, sources) if kind == "node" else highest,
        )
    return Ids(numbers, gone)
