# SPDX-License-Identifier: Apache-2.0
"""The front door: a program's JSON in, its intermediate form out."""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError
from p4jit.frontend.externs import load_calculations, load_checksums, load_lists, load_state
from p4jit.frontend.headers import load_enums, load_errors, load_headers
from p4jit.frontend.parser import load_deparser, load_parser
from p4jit.frontend.pipeline import load_pipelines
from p4jit.frontend.reader import Cursor, parse
from p4jit.frontend.statements import load_actions
from p4jit.frontend.symbols import Symbols

MAJOR_VERSION = 2

_SECTIONS = frozenset(
    {
        "header_types",
        "headers",
        "header_stacks",
        "header_union_types",
        "header_unions",
        "header_union_stacks",
        "field_aliases",
        "enums",
        "errors",
        "parsers",
        "parse_vsets",
        "deparsers",
        "meter_arrays",
        "counter_arrays",
        "register_arrays",
        "calculations",
        "learn_lists",
        "field_lists",
        "actions",
        "pipelines",
        "checksums",
        "extern_instances",
        # These change nothing about what the program does: where it came from, and hints to an interpreter.
        "__meta__",
        "program",
        "force_arith",
        "config_options",
    }
)


def load_program(text: str | bytes, name: str) -> ir.Program:
    """The program in ``text``, which is the JSON that p4c writes for bmv2 (format version 2.x).

    Raises ProgramError, and nothing else, for whatever p4jit cannot run exactly as simple_switch does.
    """
    try:
        return _load(parse(text), name)
    except RecursionError:
        raise ProgramError("$", "values are nested too deeply") from None


def _load(root: Cursor, name: str) -> ir.Program:
    _check_version(root)
    for key, section in root.members():
        if key not in _SECTIONS:
            raise section.error("unknown section", "p4jit reads the bmv2 JSON format 2.x")
    symbols = Symbols()
    symbols.errors = load_errors(root)
    symbols.enums = load_enums(root)
    load_headers(root, symbols)
    load_state(root, symbols)
    load_calculations(root, symbols)
    load_lists(root, symbols)
    load_actions(root, symbols)
    parser = load_parser(root, symbols)
    deparser = load_deparser(root, symbols)
    ingress, egress = load_pipelines(root, symbols)
    checksums = load_checksums(root, symbols)
    return ir.Program(
        name=name,
        headers=list(symbols.headers.values()),
        stacks=list(symbols.stacks.values()),
        unions=list(symbols.unions.values()),
        union_stacks=list(symbols.union_stacks.values()),
        errors=symbols.errors,
        enums=symbols.enums,
        parser=parser,
        deparser=deparser,
        ingress=ingress,
        egress=egress,
        actions=list(symbols.actions.values()),
        tables=list(symbols.tables.values()),
        profiles=list(symbols.profiles.values()),
        calculations=[*symbols.calculations.values(), *symbols.anonymous_calculations],
        checksums=checksums,
        counters=list(symbols.counters.values()),
        meters=list(symbols.meters.values()),
        registers=list(symbols.registers.values()),
        value_sets=list(symbols.value_sets.values()),
        learn_lists=list(symbols.learn_lists.values()),
        field_lists=symbols.field_lists,
        standard_fields=symbols.standard_fields,
        messages=symbols.messages,
    )


def _check_version(root: Cursor) -> None:
    """JSON without a version is older than versions, and close enough to 2.0."""
    meta = root.find("__meta__")
    version = None if meta is None else meta.find("version")
    if version is None:
        return
    major, minor = version.tuple(2)
    major.integer(0, 2**31)
    minor.integer(0, 2**31)
    if major.value != MAJOR_VERSION:
        raise version.error(
            f"bmv2 JSON format {major.value}.{minor.value} is not supported",
            f"p4jit reads {MAJOR_VERSION}.x: use a p4c that writes it",
        )
