# SPDX-License-Identifier: Apache-2.0
"""Ingress and egress: tables, conditionals and direct calls, in an order in which control only moves on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.expressions import Expressions
from p4jit.frontend.reader import Cursor, unique_ids
from p4jit.frontend.symbols import Symbols
from p4jit.frontend.tables import load_profiles, load_table

_HIT, _MISS = "__HIT__", "__MISS__"


@dataclass(slots=True)
class _Counts:
    """Conditionals and calls so far, in both pipelines."""

    conditionals: int = 0
    calls: int = 0


@dataclass(slots=True)
class _Nodes:
    """The nodes of one pipeline by name, and what sets each one's successors."""

    by_name: dict[str, ir.Node] = field(default_factory=dict)
    links: list[Callable[[], None]] = field(default_factory=list)

    def add(self, item: Cursor, node: ir.Node) -> None:
        if node.name in self.by_name:
            raise item.get("name").error(f"two nodes are named {quoted(node.name)}")
        self.by_name[node.name] = node

    def next(self, cursor: Cursor | None) -> ir.Node | None:
        return None if cursor is None else cursor.resolve(self.by_name, "node in this pipeline")


def load_pipelines(root: Cursor, symbols: Symbols) -> tuple[ir.Pipeline, ir.Pipeline]:
    """Ingress and egress."""
    items: dict[str, Cursor] = {}
    for item in unique_ids(root.section("pipelines"), "pipeline").values():
        name = item.get("name")
        if name.string() not in ("ingress", "egress") or name.string() in items:
            raise name.error(
                f"pipeline {quoted(name.string())} would never run",
                "v1model has one 'ingress' and one 'egress'",
            )
        items[name.string()] = item
    for wanted in ("ingress", "egress"):
        if wanted not in items:
            raise root.error(f"there is no pipeline named {wanted!r}", "compile the program for v1model")
    # A table may use a profile that the other pipeline declares.
    for item in items.values():
        load_profiles(item, symbols)
    counts = _Counts()
    ingress = _pipeline(items["ingress"], "ingress", symbols, counts)
    egress = _pipeline(items["egress"], "egress", symbols, counts)
    _check_direct(root, symbols)
    return ingress, egress


def _pipeline(item: Cursor, name: str, symbols: Symbols, counts: _Counts) -> ir.Pipeline:
    nodes = _Nodes()
    tables = [
        _table(cursor, nodes, symbols) for cursor in unique_ids(item.section("tables"), "table").values()
    ]
    for cursor in unique_ids(item.section("conditionals"), "conditional").values():
        _conditional(cursor, nodes, symbols, counts)
    for cursor in unique_ids(item.section("action_calls"), "action call").values():
        _direct_call(cursor, nodes, symbols, counts)
    for link in nodes.links:
        link()
    entry = nodes.next(item.find("init_table"))
    reached = _ordered([] if entry is None else [entry], item)
    _ordered(list(nodes.by_name.values()), item)
    return ir.Pipeline(name, entry, reached, tables)


def _table(item: Cursor, nodes: _Nodes, symbols: Symbols) -> ir.Table:
    table = load_table(item, symbols)
    nodes.add(item, table)
    nodes.links.append(lambda: _link_table(item, table, nodes))
    return table


def _link_table(item: Cursor, table: ir.Table, nodes: _Nodes) -> None:
    section = item.get("next_tables")
    successors = section.object()
    if _HIT in successors or _MISS in successors:
        if set(successors) != {_HIT, _MISS}:
            raise section.error(f"must have both {_HIT} and {_MISS}, and nothing else")
        table.next_by_hit = {
            True: nodes.next(section.find(_HIT)),
            False: nodes.next(section.find(_MISS)),
        }
        table.default_next = table.next_by_hit[False]
        return
    names = {action.name for action in table.actions}
    for key, cursor in section.members():
        if key not in names:
            raise cursor.error(f"the table has no action named {quoted(key)}")
    for action in table.actions:
        if action.name not in successors:
            raise section.error(f"says nothing of action {quoted(action.name)}")
        table.next_by_action[action] = nodes.next(section.find(action.name))
    table.default_next = nodes.next(item.find("base_default_next"))


def _conditional(item: Cursor, nodes: _Nodes, symbols: Symbols, counts: _Counts) -> None:
    condition = Expressions(symbols).boolean(item.get("expression"))
    node = ir.Conditional(item.get("name").name(), counts.conditionals, condition, None, None)
    counts.conditionals += 1
    nodes.add(item, node)
    if not item.has("true_next") and not item.has("false_next"):
        raise item.error("has neither 'true_next' nor 'false_next'")

    def link() -> None:
        node.true_next = nodes.next(item.find("true_next"))
        node.false_next = nodes.next(item.find("false_next"))

    nodes.links.append(link)


def _direct_call(item: Cursor, nodes: _Nodes, symbols: Symbols, counts: _Counts) -> None:
    cursor = item.get("action_id")
    action = cursor.resolve_id(symbols.actions, "action")
    if action.params:
        raise cursor.error(f"action {quoted(action.name)} has parameters, which nothing here gives it")
    node = ir.DirectCall(item.get("name").name(), counts.calls, action, None)
    counts.calls += 1
    nodes.add(item, node)

    def link() -> None:
        node.next = nodes.next(item.find("next_node"))

    nodes.links.append(link)


def _check_direct(root: Cursor, symbols: Symbols) -> None:
    """Direct counters and meters are attached to tables that know of them."""
    for item in symbols.direct_counters.values():
        binding = item.get("binding")
        if not binding.resolve(symbols.tables, "table").with_counters:
            raise binding.error("the table does not have 'with_counters'")
    for item in root.section("meter_arrays"):
        if item.flag("is_direct"):
            binding = item.get("binding")
            table = binding.resolve(symbols.tables, "table")
            if table.direct_meter is not symbols.meters[item.get("name").name()]:
                raise binding.error("the table does not name this meter as its 'direct_meters'")


def successors(node: ir.Node) -> list[ir.Node]:
    """Every node that may follow, each once."""
    following: list[ir.Node | None]
    match node:
        case ir.Table():
            by_hit = node.next_by_hit or {}
            following = [*node.next_by_action.values(), *by_hit.values(), node.default_next]
        case ir.Conditional():
            following = [node.true_next, node.false_next]
        case ir.DirectCall():
            following = [node.next]
    return list(dict.fromkeys(n for n in following if n is not None))


def _ordered(entries: list[ir.Node], pipeline: Cursor) -> list[ir.Node]:
    """What can be reached, in topological order. Raises ProgramError that names a cycle."""
    finished: dict[ir.Node, None] = {}
    for entry in entries:
        if entry in finished:
            continue
        path: dict[ir.Node, list[ir.Node]] = {entry: successors(entry)}
        while path:
            node, rest = next(reversed(path.items()))
            if not rest:
                path.popitem()
                finished[node] = None
                continue
            following = rest.pop()
            if following in path:
                names = [n.name for n in path]
                cycle = [*names[names.index(following.name) :], following.name]
                shown = " -> ".join(cycle if len(cycle) <= 12 else [*cycle[:6], "...", *cycle[-5:]])
                raise pipeline.error(f"control flow has a cycle: {shown}", "a packet would never leave it")
            if following not in finished:
                path[following] = successors(following)
    return list(reversed(finished))
