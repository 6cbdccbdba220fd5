# SPDX-License-Identifier: Apache-2.0
"""The command `p4jit`: picks the subcommand and turns its errors into messages and exit statuses.

0 done, 1 failed, 2 a command line that makes no sense, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

import p4jit
from p4jit.cli.config import ConfigError
from p4jit.cli.usage import CommandError, UsageError

COMMANDS = {
    "run": "run a switch and serve P4Runtime; takes simple_switch_grpc's command line",
    "compile": "print the C that a program becomes",
    "stf": "run one of p4c's STF tests against a program",
    "wire": "carry frames between two interfaces, as a link of some rate, delay and loss would",
    "version": "print the version",
}

USAGE = "usage: p4jit COMMAND ...   (p4jit COMMAND --help says more)"


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["--help"], ["-h"]):
        print(_help())
        return 0
    if given[:1] in (["--version"], ["-v"], ["version"]):
        print(f"p4jit {p4jit.__version__}")
        return 0
    name, rest = _split(given)
    try:
        return _run(name, rest)
    except UsageError as error:
        print(f"p4jit {name}: {error}\n(p4jit {name} --help shows the options)", file=sys.stderr)
        return 2
    except (CommandError, ConfigError) as error:
        print(f"p4jit {name}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`| head`) has enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _split(given: list[str]) -> tuple[str, list[str]]:
    """Which command, and its arguments. Without a command's name, a line meant for simple_switch_grpc runs
    a switch, so that scripts which know one program name and no subcommand work."""
    if given and given[0] in COMMANDS:
        return given[0], given[1:]
    if given and (given[0].startswith("-") or given[0].endswith(".json")):
        return "run", given
    said = f"no command {given[0]!r}" if given else "which command?"
    print(f"p4jit: {said}\n{_help()}", file=sys.stderr)
    sys.exit(2)


def _run(name: str, arguments: list[str]) -> int:
    # Each command imports what it needs, so that none waits for another's libraries.
    module = importlib.import_module(f"p4jit.cli.{name}")
    status: int = module.main(arguments)
    sys.stdout.flush()
    return status


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join([USAGE, "", *(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())])
