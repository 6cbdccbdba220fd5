# SPDX-License-Identifier: Apache-2.0
"""Primitives: the statements of actions, and of parser states where they call one.

Each becomes exactly one statement, so that the numbers jumps refer to stay. The arithmetic primitives of
P4_14 become assignments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.expressions import Expressions, Kind, header_type, same_unions
from p4jit.frontend.reader import MAX_WIDTH, Cursor, unique_ids
from p4jit.frontend.symbols import Symbols

#: Widest field list or learn list number that a packet carries.
MAX_LIST = 0xFFFF


class Statements:
    """Reads the primitives of one action or parser state."""

    def __init__(self, symbols: Symbols, params: Sequence[ir.ActionParam] = ()) -> None:
        self.symbols = symbols
        self.expressions = Expressions(symbols, params)

    def body(self, primitives: list[Cursor]) -> list[ir.Statement]:
        """The body of an action."""
        statements: list[ir.Statement] = []
        for primitive in primitives:
            op = primitive.get("op")
            if op.value in ("_jump", "_jump_if_zero"):
                statements.append(self._jump(primitive, len(primitives)))
            else:
                statements.append(self.primitive(primitive))
        return statements

    def primitive(self, cursor: Cursor) -> ir.Statement:
        """Any one primitive but a jump."""
        op = cursor.get("op")
        name = op.string()
        if name not in _PRIMITIVES:
            raise op.error(f"unknown primitive {quoted(name)}", "p4jit has simple_switch's primitives only")
        arity, read = _PRIMITIVES[name]
        return read(self, cursor, _parameters(cursor, arity))

    def _jump(self, cursor: Cursor, count: int) -> ir.Statement:
        conditional = cursor.get("op").value == "_jump_if_zero"
        params = _parameters(cursor, 2 if conditional else 1)
        target = self.expressions.constant(params[-1], 0, 2**31 - 1)
        if target > count:
            raise params[-1].error(f"jumps to statement {target} of an action that has {count}")
        if conditional:
            return ir.JumpIfZero(self.expressions.boolean(params[0]), target)
        return ir.Jump(target)

    # -- assignments

    def _assign(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Assign(self.expressions.target(params[0]), self.expressions.data(params[1]))

    def _assign_varbit(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target = self.expressions.target(params[0], Kind.VARBIT)
        return ir.AssignVarbit(target, self.expressions.of_kind(params[1], Kind.VARBIT))

    def _update(self, op: ir.BinaryOp, params: list[Cursor]) -> ir.Statement:
        """``target = target op value``."""
        target = self.expressions.target(params[0])
        return ir.Assign(target, ir.Binary(op, target, self.expressions.data(params[1])))

    def _add_to_field(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return self._update(ir.BinaryOp.ADD, params)

    def _subtract_from_field(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return self._update(ir.BinaryOp.SUB, params)

    def _operate(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        """``target = left op right``, the operation named by the primitive."""
        op = _OPERATIONS[cursor.get("op").string()]
        target = self.expressions.target(params[0])
        left, right = self.expressions.data(params[1]), self.expressions.data(params[2])
        return ir.Assign(target, ir.Binary(op, left, right))

    def _assign_header(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target, source = (self.expressions.of_kind(param, Kind.HEADER) for param in params)
        if header_type(target) is not header_type(source):
            raise cursor.error("assigns between headers of different types")
        if _is_metadata(target) != _is_metadata(source):
            raise cursor.error("assigns between a header and metadata")
        return ir.AssignHeader(target, source)

    def _assign_union(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target, source = (self.expressions.of_kind(param, Kind.UNION) for param in params)
        if not same_unions(target, source):
            raise cursor.error("assigns between header unions of different types")
        return ir.AssignUnion(target, source)

    def _assign_stack(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target, source = (self.expressions.of_kind(param, Kind.STACK) for param in params)
        assert isinstance(target, ir.StackRef)
        assert isinstance(source, ir.StackRef)
        to, of = target.stack, source.stack
        if to.type is not of.type or len(to.headers) != len(of.headers):
            raise cursor.error("assigns between header stacks of different types or sizes")
        return ir.AssignStack(to, of)

    def _assign_union_stack(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target, source = (self.expressions.of_kind(param, Kind.UNION_STACK) for param in params)
        assert isinstance(target, ir.UnionStackRef)
        assert isinstance(source, ir.UnionStackRef)
        to, of = target.stack, source.stack
        alike = same_unions(ir.UnionRef(to.unions[0]), ir.UnionRef(of.unions[0]))
        if not alike or len(to.unions) != len(of.unions):
            raise cursor.error("assigns between header union stacks of different types or sizes")
        return ir.AssignUnionStack(to, of)

    # -- headers

    def _header(self, param: Cursor) -> ir.Expr:
        header = self.expressions.of_kind(param, Kind.HEADER)
        if _is_metadata(header):
            raise param.error("metadata is always valid")
        return header

    def _add_header(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.SetValid(self._header(params[0]))

    def _remove_header(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.SetInvalid(self._header(params[0]))

    def _push(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Push(*self._shift(params))

    def _pop(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Pop(*self._shift(params))

    def _shift(self, params: list[Cursor]) -> tuple[ir.Stack | ir.UnionStack, int]:
        stack, kind = self.expressions.typed(params[0])
        if not isinstance(stack, ir.StackRef | ir.UnionStackRef):
            raise params[0].error(f"expected a stack, found {kind.value}")
        size = len(stack.stack.headers if isinstance(stack, ir.StackRef) else stack.stack.unions)
        # To shift by more than the size is to shift by the size.
        return stack.stack, min(size, self.expressions.constant(params[1], 0, 2**31 - 1))

    # -- what becomes of the packet

    def _mark_to_drop(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        header = self.expressions.of_kind(params[0], Kind.HEADER)
        if not isinstance(header, ir.HeaderRef):
            raise params[0].error("mark_to_drop is for standard metadata")
        if header.header is self.symbols.standard_fields["standard_metadata.egress_spec"].header:
            return ir.MarkToDrop()
        fields = self.symbols.fields[header.header.type]
        marked = [
            ir.FieldRef(header.header, fields[name])
            for name in ("egress_spec", "mcast_grp")
            if name in fields
        ]
        if len(marked) < 2 or any(reference.field.varbit for reference in marked):
            raise params[0].error(f"{quoted(header.header.name)} is not standard metadata, nor a copy of it")
        return ir.MarkToDrop(*marked)

    def _drop(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.MarkToDrop()

    def _clone(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Clone(self.expressions.data(params[0]), self._field_list(params[1]))

    def _resubmit(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Resubmit(self._field_list(params[0]))

    def _recirculate(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Recirculate(self._field_list(params[0]))

    def _field_list(self, param: Cursor) -> int:
        number = self.expressions.constant(param, 0, MAX_LIST)
        if number and number not in self.symbols.field_lists:
            raise param.error(f"there is no field list with id {number}")
        return number

    def _digest(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        # The first parameter names a receiver, of which there is only one.
        self.expressions.data(params[0])
        number = self.expressions.constant(params[1], 1, MAX_LIST)
        if number not in self.symbols.learn_lists:
            raise params[1].error(f"there is no learn list with id {number}")
        return ir.GenerateDigest(self.symbols.learn_lists[number])

    def _truncate(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Truncate(self.expressions.data(params[0]))

    def _exit(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.Exit()

    def _no_op(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        return ir.NoOp()

    # -- externs

    def _hash(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target, base = self.expressions.target(params[0]), self.expressions.data(params[1])
        calculation = _named(params[2], "calculation").resolve(self.symbols.calculations, "calculation")
        return ir.HashTo(target, base, calculation, self.expressions.data(params[3]))

    def _random(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        low, high = self.expressions.data(params[1]), self.expressions.data(params[2])
        return ir.Random(self.expressions.target(params[0]), low, high)

    def _count(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        name = _named(params[0], "counter_array")
        if name.string() in self.symbols.direct_counters:
            raise name.error(f"{quoted(name.string())} is a direct counter, which its table counts")
        counter = name.resolve(self.symbols.counters, "counter array")
        return ir.Count(counter, self.expressions.data(params[1]))

    def _meter(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        name = _named(params[0], "meter_array")
        meter = name.resolve(self.symbols.meters, "meter array")
        if meter.table is not None:
            raise name.error(f"{quoted(meter.name)} is a direct meter, which its table runs")
        index = self.expressions.data(params[1])
        return ir.ExecuteMeter(meter, index, self.expressions.target(params[2]))

    def _register_read(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        target = self.expressions.target(params[0])
        return ir.RegisterRead(target, self._register(params[1]), self.expressions.data(params[2]))

    def _register_write(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        index, value = self.expressions.data(params[1]), self.expressions.data(params[2])
        return ir.RegisterWrite(self._register(params[0]), index, value)

    def _register(self, param: Cursor) -> ir.RegisterArray:
        return _named(param, "register_array").resolve(self.symbols.registers, "register array")

    # -- debugging

    def _log(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        text = _named(params[0], "string").string()
        values = _named(params[1], "parameters_vector")
        # p4c writes an empty object for no values.
        items = [] if values.value == {} else values.items()
        places = _placeholders(text)
        if places != len(items):
            raise params[0].error(f"the text has {places} '{{}}' for {len(items)} values")
        arguments = [self.expressions.data(item) for item in items]
        return ir.LogMessage(self.symbols.add_message(text), arguments)

    def _assert(self, cursor: Cursor, params: list[Cursor]) -> ir.Statement:
        condition = self.expressions.boolean(params[0])
        text = f"{cursor.get('op').string()} failed"
        info = cursor.find("source_info")
        if info is not None:
            parts = [info.find(key) for key in ("filename", "line", "source_fragment")]
            file, line, source = (str(part.value) if part is not None else "?" for part in parts)
            text += f": {source} ({file}:{line})"
        return ir.Assert(condition, self.symbols.add_message(text))


def _parameters(cursor: Cursor, arity: int) -> list[Cursor]:
    params = cursor.get("parameters").items()
    if len(params) != arity:
        op = quoted(cursor.get("op").string())
        raise cursor.error(f"primitive {op} has {arity} parameters, found {len(params)}")
    return params


def _named(param: Cursor, kind: str) -> Cursor:
    """The value of a parameter that must have this type."""
    found = param.get("type").string()
    if found != kind:
        raise param.error(f"expected a parameter of type {kind!r}, found {quoted(found)}")
    return param.get("value")


def _is_metadata(header: ir.Expr) -> bool:
    return isinstance(header, ir.HeaderRef) and header.header.metadata


def _placeholders(text: str) -> int:
    """Brace pairs in a log text that stand for values; a backslash before a brace makes it plain."""
    count = position = 0
    while (position := text.find("{", position)) >= 0:
        if not text.endswith("\\", 0, position):
            count += 1
        position += 1
    return count


_OPERATIONS = {
    "add": ir.BinaryOp.ADD,
    "subtract": ir.BinaryOp.SUB,
    "bit_xor": ir.BinaryOp.XOR,
    "bit_or": ir.BinaryOp.OR,
    "bit_and": ir.BinaryOp.AND,
    "shift_left": ir.BinaryOp.SHL,
    "shift_right": ir.BinaryOp.SHR,
}

#: Name -> number of parameters, reader.
_PRIMITIVES: dict[str, tuple[int, Callable[[Statements, Cursor, list[Cursor]], ir.Statement]]] = {
    "assign": (2, Statements._assign),
    "modify_field": (2, Statements._assign),
    "assign_VL": (2, Statements._assign_varbit),
    "assign_header": (2, Statements._assign_header),
    "copy_header": (2, Statements._assign_header),
    "assign_union": (2, Statements._assign_union),
    "assign_header_stack": (2, Statements._assign_stack),
    "assign_union_stack": (2, Statements._assign_union_stack),
    "add_to_field": (2, Statements._add_to_field),
    "subtract_from_field": (2, Statements._subtract_from_field),
    **dict.fromkeys(_OPERATIONS, (3, Statements._operate)),
    "add_header": (1, Statements._add_header),
    "remove_header": (1, Statements._remove_header),
    "push": (2, Statements._push),
    "pop": (2, Statements._pop),
    "mark_to_drop": (1, Statements._mark_to_drop),
    "drop": (0, Statements._drop),
    "clone_ingress_pkt_to_egress": (2, Statements._clone),
    "clone_egress_pkt_to_egress": (2, Statements._clone),
    "resubmit": (1, Statements._resubmit),
    "recirculate": (1, Statements._recirculate),
    "generate_digest": (2, Statements._digest),
    "truncate": (1, Statements._truncate),
    "exit": (0, Statements._exit),
    "no_op": (0, Statements._no_op),
    "modify_field_with_hash_based_offset": (4, Statements._hash),
    "modify_field_rng_uniform": (3, Statements._random),
    "count": (2, Statements._count),
    "execute_meter": (3, Statements._meter),
    "register_read": (3, Statements._register_read),
    "register_write": (3, Statements._register_write),
    "log_msg": (2, Statements._log),
    "assert": (1, Statements._assert),
    "assume": (1, Statements._assert),
}


def load_actions(root: Cursor, symbols: Symbols) -> None:
    for number, item in unique_ids(root.section("actions"), "action").items():
        name = item.get("name").name()
        params: dict[str, ir.ActionParam] = {}
        for param in item.section("runtime_data"):
            param_name = param.get("name").name()
            if param_name in params:
                raise param.get("name").error(f"two parameters are named {quoted(param_name)}")
            params[param_name] = ir.ActionParam(param_name, param.get("bitwidth").integer(1, MAX_WIDTH))
        arguments = list(params.values())
        if sum(param.width for param in arguments) > MAX_WIDTH:
            raise item.get("runtime_data").error(f"an action has at most {MAX_WIDTH} bits of data")
        body = Statements(symbols, arguments).body(item.section("primitives"))
        action = ir.Action(name, len(symbols.actions), number, arguments, body)
        symbols.actions[number] = action
        symbols.actions_by_name.setdefault(name, action)
