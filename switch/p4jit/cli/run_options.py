# SPDX-License-Identifier: Apache-2.0
"""`p4jit run`'s command line: simple_switch_grpc's own, so that scripts need only another name.

simple_switch_grpc (p4lang/behavioral-model, ``options_parse.cpp`` and ``simple_switch_grpc/main.cpp``) reads
general options, then ``--``, then those of its target. Here either kind may stand on either side. What the
switch has and p4jit has not is either harmless to leave out, and then accepted with a note, or would change
what the switch does, and then refused with the reason.

Pure: nothing is opened, and of the file system only ``--config`` is read.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from p4jit.cli import config as configuration
from p4jit.cli.config import MAX_PORT, MAX_QUEUES, Config
from p4jit.cli.usage import Parser, UsageError, Whole

#: bmv2's names, which `logging` has not all got.
LOG_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}

DEFAULT_FILE_BYTES = 5 * 2**20
DEFAULT_FILE_COUNT = 3

_IGNORED = {
    "nanolog": "there is no nanomsg event log",
    "notifications_addr": "there are no nanomsg notifications; P4Runtime carries digests and timeouts",
    "debugger": "there is no debugger",
    "debugger_addr": "there is no debugger",
    "dump_packet_data": "packets are not dumped to the log; --pcap captures them",
    "disable_swap": "a controller may always set a new pipeline",
    "max_mc_groups": "multicast groups are bounded by memory alone",
    "max_l1_entries": "multicast entries are bounded by memory alone",
    "max_l2_entries": "multicast entries are bounded by memory alone",
}
_REFUSED = {
    "restore_state": "p4jit keeps no state on disk; let the controller write the entries again",
    "packet_in": "there is no nanomsg packet socket; use interfaces, or p4jit.Switch from Python",
    "dp_grpc_server_addr": "there is no gRPC data plane; use interfaces, or p4jit.Switch from Python",
    "load_modules": "externs cannot be loaded from shared objects",
}
#: What a configuration file says instead.
_FILE_INSTEAD = (
    "program",
    "interface",
    "pcap",
    "use_files",
    "device_id",
    "p4info",
    "priority_queues",
    "clamp_priority",
    "cpu_port",
    "drop_port",
    "grpc_server_addr",
    "grpc_server_ssl",
)


class JsonVersionAsked(Exception):
    """``--json-version``: the caller prints the version of the format that is read."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Where log records go. ``file`` None and ``console`` False: warnings and errors, to stderr."""

    level: int = logging.INFO
    console: bool = False
    file: Path | None = None
    file_bytes: int = DEFAULT_FILE_BYTES
    file_count: int = DEFAULT_FILE_COUNT


@dataclass(frozen=True, slots=True)
class RunOptions:
    config: Config
    log: LogOptions = LogOptions()
    #: Answered with a closed connection, for scripts that wait for the port to open.
    thrift_port: int | None = None
    #: Seconds before capture files are read (``--use-files``); None without.
    file_delay: int | None = None
    notes: list[str] = field(default_factory=list)


def build_parser() -> Parser:
    parser = Parser(
        prog="p4jit run",
        usage="p4jit run [options] (PROGRAM.json | --no-p4 | --config FILE) [-- target options]",
        description="Run a switch and serve P4Runtime. Takes simple_switch_grpc's command line.",
    )
    add = parser.add_argument
    add("program", nargs="*", metavar="PROGRAM.json", help="what p4c-bm2-ss wrote")
    add("--no-p4", action="store_true", help="start without a program and wait for a controller's")
    add("--p4info", type=Path, metavar="FILE", help="the program's P4Info, so that it can be read back")
    add("--config", type=Path, metavar="FILE", help="say all in a YAML file: see p4jit.cli.config")

    group = parser.add_argument_group("ports")
    add = group.add_argument
    add("-i", "--interface", action="append", default=[], type=_interface, metavar="PORT@INTERFACE")
    add("--pcap", nargs="?", const=".", metavar="DIR", help="capture every interface into DIR (default .)")
    add(
        "--use-files",
        type=Whole(0),
        metavar="SECONDS",
        help="interface X is the files X_in.pcap and X_out.pcap; wait SECONDS before reading",
    )
    add("--cpu-port", type=Whole(1, MAX_PORT), metavar="PORT", help="of packet-in and packet-out")
    add("--drop-port", type=Whole(0, MAX_PORT), metavar="PORT", help="default 511")
    add(
        "--priority-queues",
        type=Whole(1, MAX_QUEUES),
        metavar="N",
        help=f"strict-priority queues of a port, 1 to {MAX_QUEUES} (default {MAX_QUEUES})",
    )

    add("--clamp-priority", action="store_true", help="a priority beyond the queues takes the top one")

    group = parser.add_argument_group("P4Runtime")
    add = group.add_argument
    add("--device-id", type=Whole(0, 2**64 - 1), metavar="N", help="default 0")
    add("--grpc-server-addr", metavar="HOST:PORT", help=f"default {configuration.DEFAULT_ADDRESS}")
    add("--grpc-server-ssl", action="store_true", help="serve TLS")
    add("--grpc-server-cert", type=Path, metavar="PEM", help="the server's certificate")
    add("--grpc-server-key", type=Path, metavar="PEM", help="the server's key")
    add("--grpc-server-cacert", type=Path, metavar="PEM", help="who may sign clients' certificates")
    add("--grpc-server-with-client-auth", action="store_true", help="clients must present a certificate")

    group = parser.add_argument_group("log")
    add = group.add_argument
    add("-L", "--log-level", choices=list(LOG_LEVELS), metavar="LEVEL", help=", ".join(LOG_LEVELS))
    add("--log-console", action="store_true", help="log to stdout")
    add("--log-file", type=Path, metavar="FILE")
    add("--log-flush", action="store_true", help="write each record through (always so)")
    add("--log-file-max-size", type=Whole(1), default=DEFAULT_FILE_BYTES, metavar="BYTES")
    add("--log-file-max-files", type=Whole(0), default=DEFAULT_FILE_COUNT, metavar="N")

    group = parser.add_argument_group("of simple_switch_grpc, for scripts that pass them")
    add = group.add_argument
    add("--thrift-port", type=Whole(1, 65535), metavar="PORT", help="opened, but Thrift is not served")
    add("--json-version", action="store_true", help="print the version of the JSON format that is read")
    add("--max-port-count", type=Whole(1), metavar="N", help=f"at most {MAX_PORT + 1}, always")
    add("--enable-swap", action="store_true", help="(always so)")
    for name in ("debugger", "disable_swap"):
        add(_flag(name), action="store_true", help=f"ignored: {_IGNORED[name]}")
    for name in sorted(set(_IGNORED) - {"debugger", "disable_swap"}):
        add(_flag(name), metavar="X", help=f"ignored: {_IGNORED[name]}")
    for name in sorted(_REFUSED):
        add(_flag(name), metavar="X", help=f"refused: {_REFUSED[name]}")
    return parser


def parse(arguments: Sequence[str]) -> RunOptions:
    """Raises UsageError or ConfigError; SystemExit(0) after ``--help``."""
    given = list(arguments)
    if "--" in given:
        given.remove("--")
    args = build_parser().parse_intermixed_args(given)
    if args.json_version:
        raise JsonVersionAsked
    for name, reason in _REFUSED.items():
        if getattr(args, name):
            raise UsageError(f"{_flag(name)} is not supported: {reason}")
    notes = [
        f"{_flag(name)} is ignored: {reason}" for name, reason in _IGNORED.items() if getattr(args, name)
    ]
    if len(args.program) > 1:
        raise UsageError(f"one program at a time: {args.program[1]!r} is one too many")
    if args.thrift_port is not None:
        notes.append(
            f"--thrift-port: Thrift is not served; port {args.thrift_port} closes connections at once"
        )
    if args.config is not None:
        for name in _FILE_INSTEAD:
            value = getattr(args, name)
            if value is not None and value is not False and value != []:
                said = args.program[0] if name == "program" else _flag(name)
                raise UsageError(f"{said}: the configuration file says this; leave it out beside --config")
        config = configuration.load(args.config)
    else:
        config = _config(args, notes)
    return RunOptions(
        config=config,
        log=_log_options(args),
        thrift_port=args.thrift_port,
        file_delay=args.use_files,
        notes=notes,
    )


def _config(args: argparse.Namespace, notes: list[str]) -> Config:
    """The same model a file makes, so that there is one way to run."""
    if not args.program and not args.no_p4:
        raise UsageError("name the program's JSON, or --no-p4 to wait for a controller's, or --config FILE")
    if args.no_p4 and args.program:
        notes.append(f"{args.program[0]} is ignored, as --no-p4 was given")
    pipeline = None
    if not args.no_p4:
        pipeline = {"json": args.program[0], "p4info": args.p4info}
    ports: dict[int, dict[str, object]] = {}
    for number, interface in args.interface:
        if number in ports:
            raise UsageError(f"-i {number}@{interface}: port {number} already is another interface")
        if args.use_files is None:
            ports[number] = {"interface": interface, "capture": args.pcap}
        else:
            files = {"input": f"{interface}_in.pcap", "output": f"{interface}_out.pcap"}
            ports[number] = {"pcap": files}
    device: dict[str, object] = {
        "id": args.device_id or 0,
        "pipeline": pipeline,
        "ports": ports,
        "clamp_priority": args.clamp_priority,
    }
    for key, value in (
        ("cpu_port", args.cpu_port),
        ("drop_port", args.drop_port),
        ("queues", args.priority_queues),
    ):
        if value is not None:
            device[key] = value
    server: dict[str, object] = {"tls": _tls(args, notes)}
    if args.grpc_server_addr is not None:
        server["address"] = args.grpc_server_addr
    try:
        return Config.model_validate({"server": server, "devices": [device]})
    except ValidationError as error:
        raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _tls(args: argparse.Namespace, notes: list[str]) -> dict[str, object] | None:
    files = (args.grpc_server_cert, args.grpc_server_key, args.grpc_server_cacert)
    if not args.grpc_server_ssl:
        if any(files) or args.grpc_server_with_client_auth:
            notes.append(
                "without --grpc-server-ssl the server speaks plain text; its other options do nothing"
            )
        return None
    for name in ("grpc_server_cert", "grpc_server_key"):
        if getattr(args, name) is None:
            raise UsageError(f"--grpc-server-ssl needs {_flag(name)}")
    if args.grpc_server_with_client_auth and args.grpc_server_cacert is None:
        raise UsageError("--grpc-server-with-client-auth needs --grpc-server-cacert")
    if args.grpc_server_cacert is not None and not args.grpc_server_with_client_auth:
        notes.append("--grpc-server-cacert does nothing without --grpc-server-with-client-auth")
    return {
        "certificate": args.grpc_server_cert,
        "key": args.grpc_server_key,
        "client_ca": args.grpc_server_cacert if args.grpc_server_with_client_auth else None,
    }


def _log_options(args: argparse.Namespace) -> LogOptions:
    if args.log_console and args.log_file is not None:
        raise UsageError("--log-console and --log-file exclude each other")
    return LogOptions(
        level=LOG_LEVELS[args.log_level or "info"],
        console=args.log_console,
        file=args.log_file,
        file_bytes=args.log_file_max_size,
        file_count=args.log_file_max_files,
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _interface(text: str) -> tuple[int, str]:
    number, at, name = text.partition("@")
    if not at or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT@INTERFACE, for instance 1@eth0")
    return Whole(0, MAX_PORT)(number), name
