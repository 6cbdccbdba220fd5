# SPDX-License-Identifier: Apache-2.0
"""`p4jit wire A B`: a cable between two interfaces, with the rate, delay and loss of a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from p4jit.cli import units
from p4jit.cli.stopping import until_signalled, wait_for_signal
from p4jit.cli.usage import CommandError, Parser, UsageError, Whole
from p4jit.target.interface import LinkSpec

_T = TypeVar("_T")


def build_parser() -> Parser:
    parser = Parser(
        prog="p4jit wire",
        description="Carry frames between two interfaces, both ways, until SIGINT or SIGTERM.",
    )
    add = parser.add_argument
    add("a", metavar="A")
    add("b", metavar="B")
    add("--rate", type=_quantity(units.parse_rate), help="each way, for instance 100Mbit")
    add("--delay", type=_quantity(units.parse_duration), default=0, help="each way, for instance 5ms")
    add("--jitter", type=_quantity(units.parse_duration), default=0, help="delay varies by up to as much")
    add("--loss", type=_quantity(units.parse_probability), default=0.0, help="for instance 0.1%% or 0.001")
    add("--seed", type=Whole(0, 2**64 - 2), default=0, help="of losses and jitter (B to A takes the next)")
    add("--limit", type=Whole(1), default=1000, help="frames under way each way (default 1000)")
    return parser


def parse(arguments: Sequence[str]) -> tuple[str, str, LinkSpec, LinkSpec]:
    """The two interfaces, the link from the first to the second, and the one back."""
    args = build_parser().parse_args(arguments)
    if args.a == args.b:
        raise UsageError(f"{args.a} cannot be wired to itself")
    link = LinkSpec(args.rate, args.delay, args.jitter, args.loss, args.seed, args.limit)
    return args.a, args.b, link, replace(link, seed=link.seed + 1)


def main(arguments: Sequence[str]) -> int:
    a, b, forth, back = parse(arguments)
    from p4jit.target.compiler import BuildError
    from p4jit.target.interface import DeviceError
    from p4jit.target.wire import Wire

    with until_signalled():
        try:
            with Wire(a, b, forth, back) as wire:
                wire.start()
                print(f"{a} - {b}: {describe(forth)}", flush=True)
                wait_for_signal()
        except (DeviceError, BuildError) as error:
            raise CommandError(str(error)) from None
    return 0


def describe(link: LinkSpec) -> str:
    """The link in the units people write: ``100Mbit, 5ms``."""
    parts = []
    if link.rate is not None:
        parts.append(units.format_rate(link.rate))
    if link.delay or link.jitter:
        jitter = f" +- {units.format_duration(link.jitter)}" if link.jitter else ""
        parts.append(units.format_duration(link.delay) + jitter)
    if link.loss:
        parts.append(f"{link.loss * 100:g}% loss")
    return ", ".join(parts) or "at once"


def _quantity(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """A parser of units as an argparse type, which drops the text of a plain ValueError."""
    from argparse import ArgumentTypeError

    def convert(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return convert
