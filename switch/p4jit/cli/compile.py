# SPDX-License-Identifier: Apache-2.0
"""`p4jit compile`: the C that a program becomes. It is compiled as well, so that it is known to be good."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from p4jit.cli.program import compile_file, read_p4info
from p4jit.cli.usage import CommandError, Parser


def build_parser() -> Parser:
    parser = Parser(prog="p4jit compile", description="Print the C that a program becomes.")
    parser.add_argument("program", type=Path, metavar="PROGRAM.json", help="what p4c-bm2-ss wrote")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the C there")
    parser.add_argument("--p4info", type=Path, metavar="FILE", help="check that the P4Info fits the program")
    parser.add_argument("--json", action="store_true", help="print what was made, for machines, not the C")
    return parser


def main(arguments: Sequence[str]) -> int:
    args = build_parser().parse_args(arguments)
    start = time.monotonic()
    program = compile_file(args.program, read_p4info(args.p4info) if args.p4info else None)
    seconds = time.monotonic() - start
    if args.output is not None:
        try:
            args.output.write_text(program.source)
        except OSError as error:
            raise CommandError(f"{args.output}: {error.strerror}") from None
    if args.json:
        made = {
            "program": str(args.program),
            "library": str(program.library),
            "source": str(args.output) if args.output else None,
            "source_bytes": len(program.source.encode()),
            "seconds": round(seconds, 3),
        }
        print(json.dumps(made))
    elif args.output is None:
        sys.stdout.write(program.source)
    return 0
