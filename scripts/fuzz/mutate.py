# SPDX-License-Identifier: Apache-2.0
"""Damages p4c's bmv2 JSON in ways that often leave it a program, so that what is behind the loader sees it.

Names are swapped for others that stand in the same kind of place, numbers for their neighbours and for
extreme ones, operators for others, and list elements are repeated, dropped or exchanged.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

#: A place in a document: the container, its key, and what kind of place it is (the keys that lead there).
Place = tuple[Any, Any, str]


def places(node: Any, kind: str = "") -> Iterator[Place]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("source_info", "__meta__"):
                continue  # says nothing about what the program does
            # "value" means what the "type" beside it says.
            inner = f"{node.get('type')}.{key}" if key == "value" else key
            yield node, key, inner
            yield from places(value, inner)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield node, i, kind
            yield from places(value, kind)


def number(rng: random.Random, value: int) -> int:
    near = [value - 1, value + 1, value * 2, value ^ (1 << rng.randrange(8))]
    return rng.choice([*near, 0, 1, 7, 8, 9, 63, 64, 65, 128, 129, 1024, -1, 2**31 - 1, 2**32, 2**64 - 1])


def mutate(document: Any, rng: random.Random, times: int) -> None:
    """Change a document in place, ``times`` times."""
    for _ in range(times):
        found = list(places(document))
        container, key, kind = rng.choice(found)
        value = container[key]
        if isinstance(value, bool):
            container[key] = not value
        elif isinstance(value, int):
            container[key] = number(rng, value)
        elif isinstance(value, str) and value.startswith("0x"):
            container[key] = _hexadecimal(rng, value)
        elif isinstance(value, list) and value and rng.random() < 0.5:
            _rearrange(rng, value)
        else:
            alike = [c[k] for c, k, other in found if other == kind and type(c[k]) is type(value)]
            container[key] = copy.deepcopy(rng.choice(alike))


def _hexadecimal(rng: random.Random, value: str) -> str:
    try:
        changed = number(rng, int(value, 16))
    except ValueError:
        return value
    return f"-0x{-changed:x}" if changed < 0 else f"0x{changed:x}"


def _rearrange(rng: random.Random, items: list[Any]) -> None:
    i, j = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(3):
        case 0:
            items.insert(i, copy.deepcopy(items[j]))
        case 1:
            del items[i]
        case _:
            items[i], items[j] = items[j], items[i]
