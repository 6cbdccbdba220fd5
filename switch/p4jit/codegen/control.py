# SPDX-License-Identifier: Apache-2.0
"""A pipeline: one function in which every table and condition is a labelled block.

The nodes come in topological order and control only moves forward, so the function ends.
"""

from __future__ import annotations

from p4jit.codegen.expressions import Expressions
from p4jit.codegen.layout import Layout, TableLayout, words
from p4jit.codegen.names import Names, sanitise
from p4jit.codegen.statements import Statements, Tools, leaves
from p4jit.codegen.values import U64, constant, unsigned
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir

_FIND = {
    ir.MatchKind.EXACT: "p4_exact_find",
    ir.MatchKind.LPM: "p4_lpm_find",
    ir.MatchKind.TERNARY: "p4_ternary_find",
    ir.MatchKind.RANGE: "p4_ternary_find",
}

_FETCHED = (ir.MatchKind.EXACT, ir.MatchKind.LPM)
_PREFIX = {ir.Table: "table", ir.Conditional: "condition", ir.DirectCall: "call"}


def _always_default(t: ir.Table) -> bool:
    """No key, and a default that no one can change or count."""
    return not t.key and t.default_entry_const and t.profile is None and not t.with_counters


class Control:
    def __init__(self, tools: Tools, layout: Layout, action_names: dict[int, str], out: Writer) -> None:
        self._tools = tools
        self._phv = tools.phv
        self._layout = layout
        self._actions = action_names
        self._out = out
        self._next: ir.Node | None = None

    def declare(self, pipeline: ir.Pipeline, name: str) -> None:
        out = self._out
        names = Names()
        labels = {id(n): names.make(f"{_PREFIX[type(n)]}_{sanitise(n.name)}") for n in pipeline.nodes}
        with out.block(f"static void {name}(p4_context *ctx, p4_packet *pkt, phv_t *phv)"):
            if pipeline.nodes and pipeline.entry is not pipeline.nodes[0]:
                out.line(self._goto(pipeline.entry, labels))
            following = [*pipeline.nodes[1:], None][: len(pipeline.nodes)]
            for node, after in zip(pipeline.nodes, following, strict=True):
                self._next = after
                out.line()
                out.label(labels[id(node)])
                with out.block(""):
                    match node:
                        case ir.Table():
                            self._table(node, labels)
                        case ir.Conditional():
                            condition = Expressions(self._phv, out).boolean(node.condition)
                            out.line(f"if ({condition}) {self._goto(node.true_next, labels)}")
                            self._continue(node.false_next, labels)
                        case ir.DirectCall():
                            out.line(self._call(node.action))
                            self._continue(node.next, labels)
            if pipeline.nodes:
                out.label("done")
                out.line("return;")
        out.line()

    @staticmethod
    def _goto(node: ir.Node | None, labels: dict[int, str]) -> str:
        return f"goto {labels[id(node)]};" if node is not None else "goto done;"

    def fetch(self, pipeline: ir.Pipeline) -> bool:
        """``fetch`` brings what a burst's lookups in large tables will need into the cache, where the parser
        has left their keys: unlike those within a packet, these need not wait for each other. A table that is
        not reached, or whose key is rewritten before, costs time and nothing else. False: there is none."""
        candidates = [t for t in pipeline.tables if t.kind in _FETCHED and t.key and self._parsed_key(t)]
        if not candidates:
            return False
        out = self._out
        with out.block("static void fetch(p4_context *ctx, p4_packet *const *pkts, uint32_t count)"):
            for t in candidates:
                layout = self._layout.tables[t.index]
                with out.block(f"if (P4_UNLIKELY(ctx->tables[{t.index}].count >= P4_LARGE_TABLE))"):
                    out.line(f"const p4_table *const table = &ctx->tables[{t.index}];")
                    lpm = t.kind is ir.MatchKind.LPM
                    if lpm:
                        out.line(f"uint64_t keys[P4_ACCEPTED * {layout.key_words}];")
                    with out.block("for (uint32_t i = 0; i < count; i++)"):
                        out.line("phv_t *const phv = pkts[i]->phv;")
                        self._key(t, layout)
                        if lpm:
                            out.line(f"memcpy(keys + i * {layout.key_words}, key, sizeof key);")
                        else:
                            out.line(f"p4_exact_prefetch(table, key, {layout.key_words});")
                    if lpm:
                        out.line(f"p4_lpm_prefetch(table, keys, {layout.key_words}, count);")
        out.line()
        return True

    def _parsed_key(self, t: ir.Table) -> bool:
        """Is the whole key fields of headers from the wire?"""
        return all(
            isinstance(k.value, ir.FieldRef) and k.value.header is not None and not k.value.header.metadata
            for k in t.key
        )

    def _continue(self, node: ir.Node | None, labels: dict[int, str]) -> None:
        """Go on at a node, the one that follows in the text without a jump."""
        if node is not self._next:
            self._out.line(self._goto(node, labels))

    def _call(self, action: ir.Action) -> str:
        data = f", (const action_{action.index}_data *)(const void *)entry->data" if action.params else ""
        call = f"{self._actions[id(action)]}(ctx, pkt, phv{data})"
        return f"if ({call}) goto done;" if leaves(action) else f"{call};"

    # ---- tables ------------------------------------------------------------------------------------------

    def _table(self, t: ir.Table, labels: dict[int, str]) -> None:
        out = self._out
        if t.default is not None and _always_default(t):
            self._constant_call(t, t.default)
            follow = t.next_by_hit.get(False) if t.next_by_hit else t.next_by_action.get(t.default.action)
            self._continue(follow, labels)
            return
        layout = self._layout.tables[t.index]
        out.line(f"p4_table *const table = &ctx->tables[{t.index}];")
        if t.key:
            self._key(t, layout)
            out.line(f"p4_entry *entry = {_FIND[t.kind]}(table, key, {layout.key_words});")
        else:
            out.line("p4_entry *entry = NULL;")
        out.line("const bool hit = entry != NULL;")
        if t.direct_meter is not None:
            self._direct_meter(t)
        out.line("if (!hit) entry = table->default_entry;")
        if t.with_counters:
            out.line("entry->packets++;")
            out.line("entry->bytes += pkt->ingress_length;")
        if t.support_timeout:
            out.line("entry->last_hit = ctx->now;")
        if t.profile is not None:
            self._resolve(t.profile)
        self._dispatch(t, labels)

    def _constant_call(self, t: ir.Table, call: ir.ActionCall) -> None:
        """p4c makes a table of every statement outside of actions: its one action is called as it is."""
        out = self._out
        action = call.action
        data = ""
        if action.params:
            numbers = []
            for p, argument in zip(action.params, call.arguments, strict=True):
                parts = [constant(argument >> 64 * i, U64) for i in range(words(p.width))]
                numbers.append(f"{{{', '.join(parts)}}}" if p.width > 64 else parts[0])
            out.line(f"static const action_{action.index}_data data = {{{', '.join(numbers)}}};")
            data = ", &data"
        name = f"{self._actions[id(action)]}(ctx, pkt, phv{data})"
        out.line(f"if ({name}) goto done;" if leaves(action) else f"{name};")

    def _key(self, t: ir.Table, layout: TableLayout) -> None:
        out = self._out
        ex = Expressions(self._phv, out)
        terms: list[list[str]] = [[] for _ in range(layout.key_words)]
        for i, field in enumerate(t.key):
            value = field.value
            if field.mask is not None:
                value = ir.Binary(ir.BinaryOp.AND, value, ir.Const(field.mask & ((1 << field.width) - 1)))
            kind = unsigned(field.width)
            code = ex.cast(ex.cut(value, field.width), kind)
            guard = ""
            if isinstance(field.value, ir.FieldRef) and field.value.header is not None:
                valid = self._phv.header(field.value.header).valid
                guard = "" if valid == "true" else valid
            width, word, shift = field.width, layout.offsets[i] // 64, layout.offsets[i] % 64
            parts: list[tuple[int, str]]
            if i == layout.lpm_field:
                parts = self._left_aligned(ex, code, width, layout.lpm_word)
            elif kind.wide:
                parts = [(word + w, f"{code}[{w}]") for w in range(words(width))]
            elif kind.bits == 128:
                name = out.temporary("k")
                out.line(f"const p4_u128 {name} = {code};")
                parts = [(word, f"(uint64_t){name}"), (word + 1, f"(uint64_t)({name} >> 64)")]
            else:
                parts = [(word, f"{ex.paren(code)} << {shift}" if shift else code)]
            for w, c in parts:
                terms[w].append(f"({guard} ? {c} : 0)" if guard else f"({c})")
        with out.block(f"const uint64_t key[{layout.key_words}] =", ";"):
            for word_terms in terms:
                out.line(" | ".join(word_terms) + ",")

    def _left_aligned(self, ex: Expressions, code: str, width: int, first: int) -> list[tuple[int, str]]:
        spare = -width % 64
        if width <= 64:
            return [(first, f"{ex.paren(code)} << {spare}" if spare else code)]
        count = words(width)
        if width <= 128:
            name = self._out.temporary("k")
            self._out.line(f"const p4_u128 {name} = {ex.paren(code)} << {spare};")
            return [(first, f"(uint64_t)({name} >> 64)"), (first + 1, f"(uint64_t){name}")]
        name = self._out.temporary("w")
        self._out.line(f"uint64_t {name}[{count}];")
        self._out.line(f"w_shl({name}, {code}, {spare}, {count});")
        return [(first + i, f"{name}[{count - 1 - i}]") for i in range(count)]

    def _direct_meter(self, t: ir.Table) -> None:
        """simple_switch meters hits only, before the action runs."""
        assert t.direct_meter is not None
        assert t.direct_meter.result is not None
        out = self._out
        offset = self._layout.table_data_bytes[t.index]
        kind = "true" if t.direct_meter.bytes else "false"
        with out.block("if (hit)"):
            out.line(
                f"const uint64_t colour = p4_meter_run((p4_meter *)(void *)(entry->data + {offset}), {kind}, "
                "pkt->ingress_length, ctx->now);"
            )
            self._phv.store_code(Expressions(self._phv, out), t.direct_meter.result, "colour")

    def _resolve(self, profile: ir.ActionProfile) -> None:
        """From an entry of an indirect table to the member it stands for. A group with no member that is up
        drops the packet."""
        out = self._out
        out.line(f"p4_profile *const profile = &ctx->profiles[{profile.index}];")
        out.line("if (entry->action == P4_ACTION_MEMBER) entry = p4_profile_member(profile, entry);")
        if profile.selector is not None:
            hash_code = self._tools.calculations.call(profile.selector)
            out.line("else if (entry->action == P4_ACTION_GROUP)")
            out.line(f"  entry = p4_profile_pick(profile, entry, {hash_code});")
        with out.block("if (P4_UNLIKELY(entry == NULL))"):
            statements = Statements(self._tools, Expressions(self._phv, out), "goto done;", "")
            statements.generate(ir.MarkToDrop())
            out.line("goto done;")

    def _dispatch(self, t: ir.Table, labels: dict[int, str]) -> None:
        out = self._out
        by_hit = t.next_by_hit is not None
        with out.block("switch (entry->action)"):
            for a in t.actions:
                out.line(f"case {a.index}:")
                out.line(f"  {self._call(a)}")
                out.line("  break;" if by_hit else f"  {self._goto(t.next_by_action.get(a), labels)}")
            out.line("default:")
            out.line("  break;")
        if t.next_by_hit is not None:
            out.line(f"if (hit) {self._goto(t.next_by_hit.get(True), labels)}")
            self._continue(t.next_by_hit.get(False), labels)
        else:
            # No action at all: the default of an indirect table that nobody set.
            self._continue(t.default_next, labels)
