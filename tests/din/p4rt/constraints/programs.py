# SPDX-License-Identifier: Apache-2.0
"""Programs of one table `t` with a field of every kind, and one action `a`."""

from __future__ import annotations

from functools import cache

from din.p4rt.constraints import Constraints
from din.p4rt.entry import Key, Match
from din.p4rt.program import Program
from finsy.proto import p4i
from google.protobuf import text_format

#: As a constraint's golden file shows them.
FIELDS = {"exact8": "EXACT", "ternary8": "TERNARY", "optional8": "OPTIONAL", "lpm8": "LPM", "range8": "RANGE"}
WIDE = {"mac48": 48, "ipv4.dst": 32, "ipv6.dst": 128}
PARAMS = {"p8": 8, "q8": 8, "r16": 16}


@cache
def _p4info() -> p4i.P4Info:
    fields = [
        f'match_fields {{ id: {place} name: "{name}" bitwidth: {width} match_type: {kind} }}'
        for place, (name, width, kind) in enumerate(
            [
                *((name, 8, kind) for name, kind in FIELDS.items()),
                *((name, width, "EXACT") for name, width in WIDE.items()),
            ],
            1,
        )
    ]
    params = [
        f'params {{ id: {place} name: "{name}" bitwidth: {width} }}'
        for place, (name, width) in enumerate(PARAMS.items(), 1)
    ]
    return text_format.Parse(
        f"""
        tables {{
          preamble {{ id: 1 name: "c.t" alias: "t" }}
          {" ".join(fields)}
          action_refs {{ id: 2 }}
        }}
        actions {{ preamble {{ id: 2 name: "c.a" alias: "a" }} {" ".join(params)} }}
        """,
        p4i.P4Info(),
    )


def program(table: str = "", action: str = "") -> Program:
    """With these annotations, as P4Info has them."""
    info = p4i.P4Info()
    info.CopyFrom(_p4info())
    if table:
        info.tables[0].preamble.annotations.append(table)
    if action:
        info.actions[0].preamble.annotations.append(action)
    return Program.load(info, b"")


def of_entries(constraint: str) -> Constraints:
    return Constraints(program(f'@entry_restriction("{constraint}")'))


def of_actions(constraint: str) -> Constraints:
    return Constraints(program(action=f'@action_restriction("{constraint}")'))


def entry(priority: int = 1, **match: Match) -> Key:
    """Exact fields are 0 where nothing else is said; other ones match anything."""
    named = {"exact8": 0, **dict.fromkeys(WIDE, 0)} | {
        name.replace("__", "."): m for name, m in match.items()
    }
    return Key("t", tuple(sorted(named.items())), priority)
