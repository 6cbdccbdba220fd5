# SPDX-License-Identifier: Apache-2.0
"""``python -m din.inference.agent``. Exits: 0 after SIGTERM or SIGINT, 1 it may not mark or
cannot listen, 2 wrong file or options.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

from din.inference.marking.linux import set_header
from din.inference.marking.request import default_socket

from . import config
from .server import Agent, listen


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m din.inference.agent",
        description="Sets the DIN option of processes that may not do so themselves. Needs CAP_NET_RAW.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="keys, and who may claim what")
    parser.add_argument(
        "--socket", default=default_socket(), metavar="PATH", help="where to listen (default %(default)s)"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        settings = config.load(given.config)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        _try_out()
    except OSError as error:
        print(f"cannot mark sockets: {error.strerror or error}", file=sys.stderr)
        return 1
    try:
        listener = listen(given.socket)
    except OSError as error:
        print(f"cannot listen at {given.socket}: {error.strerror or error}", file=sys.stderr)
        return 1

    def end(_number: int, _frame: FrameType | None) -> None:
        # An exception would be lost where Python ignores them: in what it runs after a fork.
        listener.shutdown(socket.SHUT_RDWR)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    logging.info("listening at %s", given.socket)
    try:
        Agent(settings).serve(listener)
    finally:
        with suppress(OSError):
            os.unlink(given.socket)
    return 0


def _try_out() -> None:
    """OSError: no socket of this namespace can be marked."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            set_header(sock, bytes((0, 0, 1, 4, 0, 0, 0, 0)))  # padding alone
        except PermissionError as error:
            raise PermissionError(error.errno, "the agent needs CAP_NET_RAW") from None


if __name__ == "__main__":
    sys.exit(main())
