# SPDX-License-Identifier: Apache-2.0
"""From a program's JSON to a library that devices load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finsy.proto import p4i

from p4jit.codegen.layout import Layout
from p4jit.codegen.program import generate
from p4jit.frontend import ir
from p4jit.frontend.load import load_program
from p4jit.frontend.p4info import check_p4info
from p4jit.target.compiler import program_library


@dataclass(frozen=True, slots=True)
class CompiledProgram:
    """A program that devices can load. ``source`` is its C."""

    name: str
    ir: ir.Program
    layout: Layout
    source: str
    library: Path
    json: bytes
    p4info: p4i.P4Info | None


def translate(
    json: bytes | str, name: str, p4info: p4i.P4Info | None = None
) -> tuple[ir.Program, Layout, str]:
    """The intermediate form, the layouts and the C source of a program; needs no compiler.

    Raises ProgramError for a program that is refused, or that a given P4Info does not describe.
    """
    program = load_program(json, name)
    if p4info is not None:
        check_p4info(program, p4info)
    layout = Layout(program)
    return program, layout, generate(program, layout)


def compile_program(json: bytes | str, name: str, p4info: p4i.P4Info | None = None) -> CompiledProgram:
    """Compile p4c's JSON for bmv2, or take the result from the cache.

    Raises ProgramError as `translate` does, and BuildError when there is no working C compiler.
    """
    program, layout, source = translate(json, name, p4info)
    data = json.encode() if isinstance(json, str) else json
    return CompiledProgram(name, program, layout, source, program_library(source), data, p4info)
