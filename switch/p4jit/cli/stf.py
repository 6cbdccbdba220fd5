# SPDX-License-Identifier: Apache-2.0
"""`p4jit stf`: run one of p4c's STF tests against a program, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from p4jit.cli.program import compile_file
from p4jit.cli.usage import CommandError, Parser, read_text


def build_parser() -> Parser:
    parser = Parser(
        prog="p4jit stf",
        description="Run an STF test against a program. Exits with 0 if every check passed, 1 if one failed.",
    )
    parser.add_argument("program", type=Path, metavar="PROGRAM.json", help="what p4c-bm2-ss wrote")
    parser.add_argument("test", type=Path, metavar="TEST.stf")
    parser.add_argument("--json", action="store_true", help="print the outcome of each check, for machines")
    return parser


def main(arguments: Sequence[str]) -> int:
    args = build_parser().parse_args(arguments)
    text = read_text(args.test)

    from p4jit.stf.parse import StfSyntaxError
    from p4jit.stf.resolve import StfError
    from p4jit.stf.run import run_stf
    from p4jit.target.compiler import BuildError
    from p4jit.target.device import Device

    program = compile_file(args.program)
    try:
        result = run_stf(lambda: Device(clock="virtual"), program, text)
    except (StfSyntaxError, StfError) as error:
        raise CommandError(f"{args.test}: {error}") from None
    except BuildError as error:
        raise CommandError(str(error)) from None
    if args.json:
        checks = [
            {"line": outcome.line, "passed": outcome.passed, "text": outcome.text}
            for outcome in result.outcomes
        ]
        print(json.dumps({"passed": result.passed, "checks": checks, "log": result.log}))
    else:
        print(result)
    return 0 if result.passed else 1
