# SPDX-License-Identifier: Apache-2.0
"""The typed intermediate form of one v1model program.

It says what the bmv2 JSON says (version 2.x, `docs/JSON_format.md` in p4lang/behavioral-model) and no more,
with every name resolved to the object it names, every constant an ``int`` and every width in bits. Objects
compare by identity: the loader makes each once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(eq=False, slots=True)
class Field:
    """A field of a header type. ``width`` is in bits; of a varbit, the largest it can hold."""

    name: str
    width: int
    index: int
    signed: bool = False
    saturating: bool = False
    varbit: bool = False


@dataclass(eq=False, slots=True)
class HeaderType:
    name: str
    fields: list[Field]
    #: Largest size in bytes (equal to the only size when there is no varbit).
    max_bytes: int
    #: Length in bits of the varbit as an expression over the header's own fields (P4_14 style), if given:
    #: FieldRef.header is then None in it and stands for the header being extracted.
    length_expression: Expr | None = None

    @property
    def varbit(self) -> Field | None:
        return next((f for f in self.fields if f.varbit), None)


@dataclass(eq=False, slots=True)
class Header:
    """A header or metadata instance."""

    name: str
    index: int
    type: HeaderType
    metadata: bool
    #: The union this header is a member of, if any.
    union: Union | None = None


@dataclass(eq=False, slots=True)
class Stack:
    name: str
    index: int
    type: HeaderType
    headers: list[Header]


@dataclass(eq=False, slots=True)
class Union:
    name: str
    index: int
    #: Member names in the order of declaration, with their instances.
    members: list[tuple[str, Header]]


@dataclass(eq=False, slots=True)
class UnionStack:
    name: str
    index: int
    unions: list[Union]


# ---- expressions ---------------------------------------------------------------------------------------
# Arithmetic is on unbounded integers, as in bmv2; a value is cut to the width of the field it is stored in.


class Expr:
    """Base of all expressions."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Const(Expr):
    value: int


@dataclass(eq=False, slots=True)
class BoolConst(Expr):
    value: bool


@dataclass(eq=False, slots=True)
class FieldRef(Expr):
    """``header`` is None only inside HeaderType.length_expression."""

    header: Header | None
    field: Field


@dataclass(eq=False, slots=True)
class ValidBit(Expr):
    """The hidden field ``$valid$`` as a one-bit value."""

    header: Header


@dataclass(eq=False, slots=True)
class Param(Expr):
    """Run-time data of the enclosing action, by position."""

    index: int
    width: int


@dataclass(eq=False, slots=True)
class HeaderRef(Expr):
    header: Header


@dataclass(eq=False, slots=True)
class UnionRef(Expr):
    union: Union


@dataclass(eq=False, slots=True)
class StackRef(Expr):
    stack: Stack


@dataclass(eq=False, slots=True)
class UnionStackRef(Expr):
    stack: UnionStack


@dataclass(eq=False, slots=True)
class StackElement(Expr):
    """``stack[index]``: a header."""

    stack: Stack
    index: Expr


@dataclass(eq=False, slots=True)
class UnionStackElement(Expr):
    """``stack[index]``: a header union."""

    stack: UnionStack
    index: Expr


@dataclass(eq=False, slots=True)
class UnionMember(Expr):
    """A header of a union that an expression names (UnionRef or UnionStackElement)."""

    union: Expr
    member: int


@dataclass(eq=False, slots=True)
class ElementField(Expr):
    """A field, by position, of a header that an expression names."""

    header: Expr
    field: Field


@dataclass(eq=False, slots=True)
class LastField(Expr):
    """A field of the last header of a stack."""

    stack: Stack
    field: Field


@dataclass(eq=False, slots=True)
class LastUnionField(Expr):
    """A field of a member of the last union of a union stack (parser keys only)."""

    stack: UnionStack
    member: int
    field: Field


@dataclass(eq=False, slots=True)
class LastIndex(Expr):
    stack: Stack | UnionStack


@dataclass(eq=False, slots=True)
class StackSize(Expr):
    """Headers now in the stack (bmv2's ``size_stack``)."""

    stack: Stack | UnionStack


@dataclass(eq=False, slots=True)
class Lookahead(Expr):
    """Bits of the packet that the parser has not taken: ``offset`` and ``width`` in bits."""

    offset: int
    width: int


@dataclass(eq=False, slots=True)
class RegisterElement(Expr):
    register: RegisterArray
    index: Expr


class UnaryOp(Enum):
    NEGATE = "-"
    COMPLEMENT = "~"
    NOT = "not"
    TO_BOOL = "d2b"
    TO_DATA = "b2d"


class BinaryOp(Enum):
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    SHL = "<<"
    SHR = ">>"
    AND = "&"
    OR = "|"
    XOR = "^"
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LOGICAL_AND = "and"
    LOGICAL_OR = "or"
    #: Right operand: a constant width.
    TWO_COMP_MOD = "two_comp_mod"
    SAT_CAST = "sat_cast"
    USAT_CAST = "usat_cast"


@dataclass(eq=False, slots=True)
class Unary(Expr):
    op: UnaryOp
    operand: Expr


@dataclass(eq=False, slots=True)
class Binary(Expr):
    """Both sides are data, or (EQ, NE) both bool, both varbit fields, both headers or both unions."""

    op: BinaryOp
    left: Expr
    right: Expr


@dataclass(eq=False, slots=True)
class Ternary(Expr):
    condition: Expr
    left: Expr
    right: Expr


@dataclass(eq=False, slots=True)
class Valid(Expr):
    """Bool: is this header (HeaderRef, StackElement, UnionMember) valid?"""

    header: Expr


@dataclass(eq=False, slots=True)
class ValidUnion(Expr):
    """Bool: has this union (UnionRef, UnionStackElement) a valid member?"""

    union: Expr


# ---- statements (bmv2 "primitives") --------------------------------------------------------------------


class Statement:
    __slots__ = ()


@dataclass(eq=False, slots=True)
class Assign(Statement):
    """``target`` is FieldRef, ElementField, LastField or RegisterElement."""

    target: Expr
    value: Expr


@dataclass(eq=False, slots=True)
class AssignVarbit(Statement):
    target: Expr
    value: Expr


@dataclass(eq=False, slots=True)
class AssignHeader(Statement):
    target: Expr
    source: Expr


@dataclass(eq=False, slots=True)
class AssignUnion(Statement):
    target: Expr
    source: Expr


@dataclass(eq=False, slots=True)
class AssignStack(Statement):
    target: Stack
    source: Stack


@dataclass(eq=False, slots=True)
class AssignUnionStack(Statement):
    target: UnionStack
    source: UnionStack


@dataclass(eq=False, slots=True)
class SetValid(Statement):
    """``add_header``: an invalid header becomes valid with all fields 0."""

    header: Expr


@dataclass(eq=False, slots=True)
class SetInvalid(Statement):
    header: Expr


@dataclass(eq=False, slots=True)
class Push(Statement):
    stack: Stack | UnionStack
    count: int


@dataclass(eq=False, slots=True)
class Pop(Statement):
    stack: Stack | UnionStack
    count: int


@dataclass(eq=False, slots=True)
class MarkToDrop(Statement):
    """The drop port into egress_spec, 0 into mcast_grp: of the standard metadata where no fields are given,
    else of a copy of it that the program keeps in a local variable."""

    egress_spec: FieldRef | None = None
    multicast_group: FieldRef | None = None


@dataclass(eq=False, slots=True)
class HashTo(Statement):
    """``target = base + calculation % max(size, 1)``."""

    target: Expr
    base: Expr
    calculation: Calculation
    size: Expr


@dataclass(eq=False, slots=True)
class Random(Statement):
    """Uniform in [low, high]; no change when low > high."""

    target: Expr
    low: Expr
    high: Expr


@dataclass(eq=False, slots=True)
class Count(Statement):
    counter: CounterArray
    index: Expr


@dataclass(eq=False, slots=True)
class ExecuteMeter(Statement):
    meter: MeterArray
    index: Expr
    target: Expr


@dataclass(eq=False, slots=True)
class RegisterRead(Statement):
    target: Expr
    register: RegisterArray
    index: Expr


@dataclass(eq=False, slots=True)
class RegisterWrite(Statement):
    register: RegisterArray
    index: Expr
    value: Expr


@dataclass(eq=False, slots=True)
class GenerateDigest(Statement):
    list: LearnList


@dataclass(eq=False, slots=True)
class Clone(Statement):
    """Ingress- or egress-to-egress, by the pipeline it runs in. ``fields`` is a FieldList id, 0 for none."""

    session: Expr
    fields: int


@dataclass(eq=False, slots=True)
class Resubmit(Statement):
    fields: int


@dataclass(eq=False, slots=True)
class Recirculate(Statement):
    fields: int


@dataclass(eq=False, slots=True)
class Truncate(Statement):
    length: Expr


@dataclass(eq=False, slots=True)
class LogMessage(Statement):
    """``message`` is an index into Program.messages."""

    message: int
    arguments: list[Expr]


@dataclass(eq=False, slots=True)
class Assert(Statement):
    """assert or assume; ``message`` is an index into Program.messages."""

    condition: Expr
    message: int


@dataclass(eq=False, slots=True)
class Exit(Statement):
    pass


@dataclass(eq=False, slots=True)
class NoOp(Statement):
    """Keeps the numbering that jumps refer to."""


@dataclass(eq=False, slots=True)
class Jump(Statement):
    """To the statement at ``target`` of the same action: forward, or back, which makes a loop."""

    target: int


@dataclass(eq=False, slots=True)
class JumpIfZero(Statement):
    condition: Expr
    target: int


# ---- actions, tables, control flow ---------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class ActionParam:
    name: str
    width: int


@dataclass(eq=False, slots=True)
class Action:
    name: str
    index: int
    #: "id" in the JSON, which entries refer to.
    id: int
    params: list[ActionParam]
    body: list[Statement]


class MatchKind(Enum):
    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    #: bmv2's "valid": a one-bit exact match on a header's validity.
    VALID = "valid"


@dataclass(eq=False, slots=True)
class KeyField:
    """``value`` is FieldRef, ValidBit, or another l-value that bmv2 takes as a key. A field of an invalid
    header matches as 0, as in simple_switch."""

    name: str
    kind: MatchKind
    value: Expr
    width: int
    #: Static mask, applied before the lookup.
    mask: int | None = None


@dataclass(eq=False, slots=True)
class MatchValue:
    """How one key field matches. exact: value. lpm: value, prefix_length. ternary: value, mask (optional:
    a mask of all ones or none). range: value (low) and high."""

    value: int
    mask: int | None = None
    prefix_length: int | None = None
    high: int | None = None


@dataclass(eq=False, slots=True)
class ActionCall:
    action: Action
    arguments: list[int]


@dataclass(eq=False, slots=True)
class ConstEntry:
    match: list[MatchValue]
    call: ActionCall
    #: As in the JSON: the smaller number is preferred. None for exact and lpm tables.
    priority: int | None = None


@dataclass(eq=False, slots=True)
class ActionProfile:
    name: str
    index: int
    max_size: int
    #: Hash of the selector, None for a plain action profile.
    selector: Calculation | None = None


@dataclass(eq=False, slots=True)
class Table:
    name: str
    index: int
    #: EXACT, LPM, TERNARY or RANGE: how the whole key is looked up.
    kind: MatchKind
    key: list[KeyField]
    actions: list[Action]
    max_size: int
    profile: ActionProfile | None
    #: Set whenever the JSON gives one.
    default: ActionCall | None
    #: The control plane may not change the default's action / the default at all.
    default_action_const: bool
    default_entry_const: bool
    #: Entries in the program make the table immutable (``const_entries``), the default aside.
    entries: list[ConstEntry]
    const_entries: bool
    with_counters: bool
    support_timeout: bool
    direct_meter: MeterArray | None
    #: Where to go after the table: by action (all of ``actions`` present), or by hit and miss.
    next_by_action: dict[Action, Node | None] = field(default_factory=dict)
    next_by_hit: dict[bool, Node | None] | None = None
    #: Where to go when no action ran: a miss in a table that has no default (bmv2's ``base_default_next``).
    default_next: Node | None = None


@dataclass(eq=False, slots=True)
class Conditional:
    name: str
    index: int
    condition: Expr
    true_next: Node | None
    false_next: Node | None


@dataclass(eq=False, slots=True)
class DirectCall:
    """``action_calls``: an action called from the control flow, without a table."""

    name: str
    index: int
    action: Action
    next: Node | None


Node = Table | Conditional | DirectCall


@dataclass(eq=False, slots=True)
class Pipeline:
    """``nodes`` is in a topological order: control only ever moves forward in it."""

    name: str
    entry: Node | None
    nodes: list[Node]
    tables: list[Table]


# ---- parser --------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Extract(Statement):
    """``target``: Header; Stack (next element); or (UnionStack, member). ``length`` is the varbit's length
    in bits, for extract_VL."""

    target: Header | Stack | tuple[UnionStack, int]
    length: Expr | None = None


@dataclass(eq=False, slots=True)
class ParserSet(Statement):
    target: Expr
    value: Expr


@dataclass(eq=False, slots=True)
class Verify(Statement):
    condition: Expr
    error: Expr


@dataclass(eq=False, slots=True)
class Advance(Statement):
    """``bits`` to skip; not a multiple of 8 is ParserInvalidArgument."""

    bits: Expr


@dataclass(eq=False, slots=True)
class Transition:
    """One case of a select. ``values`` holds one (value, mask) a key field, mask None for all ones; a
    value set instead has ``value_set`` and its own mask. ``next`` None accepts."""

    next: ParserState | None
    values: list[tuple[int, int | None]] | None = None
    value_set: ValueSet | None = None
    value_set_mask: list[int] | None = None


@dataclass(eq=False, slots=True)
class ParserState:
    name: str
    index: int
    #: Extract, ParserSet, Verify, Advance, or any action statement ("primitive").
    body: list[Statement]
    #: FieldRef, ElementField, LastField, LastUnionField or Lookahead, each with its width in bits.
    key: list[tuple[Expr, int]]
    #: Tried in order; the default, if any, is ``default`` and is tried last.
    transitions: list[Transition]
    #: Where to go when nothing matches. None accepts.
    default: ParserState | None = None


@dataclass(eq=False, slots=True)
class Parser:
    name: str
    start: ParserState | None
    states: list[ParserState]


@dataclass(eq=False, slots=True)
class ValueSet:
    name: str
    index: int
    width: int
    #: Most members (P4Info gives it; the JSON does not). None: unbounded.
    size: int | None = None


# ---- calculations, checksums, stateful objects ---------------------------------------------------------


@dataclass(eq=False, slots=True)
class Payload(Expr):
    """In Calculation.inputs only: the packet after the parsed headers."""


@dataclass(eq=False, slots=True)
class SizedConst(Expr):
    """In Calculation.inputs only: a constant of ``width`` bits."""

    value: int
    width: int


@dataclass(eq=False, slots=True)
class Calculation:
    """``algorithm`` as bmv2 names it (crc16, crc32, csum16, identity, …). ``inputs`` are FieldRef,
    HeaderRef, SizedConst or Payload; those of an invalid header are left out."""

    name: str
    index: int
    algorithm: str
    inputs: list[Expr]


@dataclass(eq=False, slots=True)
class Checksum:
    name: str
    target: FieldRef
    calculation: Calculation
    verify: bool
    update: bool
    condition: Expr | None


@dataclass(eq=False, slots=True)
class CounterArray:
    """Indirect only; direct counters are ``Table.with_counters``. ``direct_table`` names the table of a
    direct one, which then has no cells of its own."""

    name: str
    index: int
    size: int


@dataclass(eq=False, slots=True)
class MeterArray:
    name: str
    index: int
    size: int
    #: Counts bytes rather than packets.
    bytes: bool
    #: Where a direct meter writes its colour; None for an indirect meter.
    result: FieldRef | None = None
    #: Name of the table a direct meter belongs to.
    table: str | None = None


@dataclass(eq=False, slots=True)
class RegisterArray:
    name: str
    index: int
    size: int
    width: int


@dataclass(eq=False, slots=True)
class LearnList:
    """A digest. ``elements`` are FieldRef or SizedConst."""

    name: str
    id: int
    elements: list[Expr]
    #: Width in bits of each element.
    widths: list[int]


@dataclass(eq=False, slots=True)
class FieldList:
    """Metadata kept by a clone, a resubmit or a recirculation."""

    name: str
    id: int
    elements: list[FieldRef]


@dataclass(eq=False, slots=True)
class Program:
    """A whole program. ``index`` of any object is its position in its list here."""

    name: str
    headers: list[Header]
    stacks: list[Stack]
    unions: list[Union]
    union_stacks: list[UnionStack]
    #: error name -> value; NoError, PacketTooShort, NoMatch, StackOutOfBounds, HeaderTooShort,
    #: ParserTimeout and ParserInvalidArgument are always present.
    errors: dict[str, int]
    enums: dict[str, dict[str, int]]
    parser: Parser
    deparser: list[Header]
    ingress: Pipeline
    egress: Pipeline
    actions: list[Action]
    tables: list[Table]
    profiles: list[ActionProfile]
    calculations: list[Calculation]
    checksums: list[Checksum]
    counters: list[CounterArray]
    meters: list[MeterArray]
    registers: list[RegisterArray]
    value_sets: list[ValueSet]
    learn_lists: list[LearnList]
    field_lists: dict[int, FieldList]
    #: simple_switch's name of a field ("standard_metadata.ingress_port", "queueing_metadata.enq_qdepth",
    #: "intrinsic_metadata.mcast_grp", …) -> the field, aliases resolved. Only those the program has.
    standard_fields: dict[str, FieldRef]
    #: Texts of log_msg calls and of failed assertions, which never reach the generated source.
    messages: list[str]
