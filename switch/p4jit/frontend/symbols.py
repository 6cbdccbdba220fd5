# SPDX-License-Identifier: Apache-2.0
"""What the names and numbers in a program refer to, filled section by section while it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.reader import Cursor

#: The hidden field that holds a header's validity.
VALID = "$valid$"


@dataclass(slots=True)
class Symbols:
    header_types: dict[str, ir.HeaderType] = field(default_factory=dict)
    fields: dict[ir.HeaderType, dict[str, ir.Field]] = field(default_factory=dict)
    headers: dict[str, ir.Header] = field(default_factory=dict)
    stacks: dict[str, ir.Stack] = field(default_factory=dict)
    unions: dict[str, ir.Union] = field(default_factory=dict)
    union_stacks: dict[str, ir.UnionStack] = field(default_factory=dict)
    standard_fields: dict[str, ir.FieldRef] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    value_sets: dict[str, ir.ValueSet] = field(default_factory=dict)
    counters: dict[str, ir.CounterArray] = field(default_factory=dict)
    #: Direct counters, by name: where they are declared.
    direct_counters: dict[str, Cursor] = field(default_factory=dict)
    meters: dict[str, ir.MeterArray] = field(default_factory=dict)
    registers: dict[str, ir.RegisterArray] = field(default_factory=dict)
    calculations: dict[str, ir.Calculation] = field(default_factory=dict)
    #: Calculations that no name refers to: those of selectors and of "ipv4" checksums.
    anonymous_calculations: list[ir.Calculation] = field(default_factory=list)
    learn_lists: dict[int, ir.LearnList] = field(default_factory=dict)
    field_lists: dict[int, ir.FieldList] = field(default_factory=dict)
    #: By id; in the order of the program.
    actions: dict[int, ir.Action] = field(default_factory=dict)
    #: The first action of each name.
    actions_by_name: dict[str, ir.Action] = field(default_factory=dict)
    profiles: dict[str, ir.ActionProfile] = field(default_factory=dict)
    tables: dict[str, ir.Table] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add_message(self, text: str) -> int:
        self.messages.append(text)
        return len(self.messages) - 1

    def add_calculation(self, name: str, algorithm: str, inputs: list[ir.Expr]) -> ir.Calculation:
        """A calculation that no name in the program refers to."""
        index = len(self.calculations) + len(self.anonymous_calculations)
        calculation = ir.Calculation(name, index, algorithm, inputs)
        self.anonymous_calculations.append(calculation)
        return calculation

    def field_of(self, header_type: ir.HeaderType, name: Cursor) -> ir.Field:
        return name.resolve(self.fields[header_type], f"field of header type {quoted(header_type.name)}")

    def field_or_valid(self, cursor: Cursor) -> ir.FieldRef | ir.ValidBit:
        """``[header, field]``, the hidden field included."""
        header_name, field_name = cursor.tuple(2)
        header = header_name.resolve(self.headers, "header")
        if field_name.value == VALID:
            return ir.ValidBit(header)
        return ir.FieldRef(header, self.field_of(header.type, field_name))

    def field_ref(self, cursor: Cursor) -> ir.FieldRef:
        """``[header, field]``, the hidden field excluded."""
        reference = self.field_or_valid(cursor)
        if isinstance(reference, ir.ValidBit):
            raise cursor.error(f"the hidden field {VALID} cannot be used here")
        return reference
