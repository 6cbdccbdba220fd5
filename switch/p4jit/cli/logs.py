# SPDX-License-Identifier: Apache-2.0
"""Where log records go, in the form of bmv2's: ``[18:11:14.952] [p4jit] [I] text``."""

from __future__ import annotations

import logging
import logging.handlers
import sys

from p4jit.cli.run_options import LogOptions
from p4jit.cli.usage import CommandError

_LETTERS = {"DEBUG": "D", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "C"}


class _Formatter(logging.Formatter):
    default_time_format = "%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        letter = _LETTERS.get(record.levelname, "?")
        text = f"[{self.formatTime(record)}] [{record.name}] [{letter}] {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up(options: LogOptions) -> None:
    """Send p4jit's records to the console, a file (rotated), or - warnings and errors - to stderr."""
    handler: logging.Handler
    level = options.level
    if options.file is not None:
        try:
            handler = logging.handlers.RotatingFileHandler(
                options.file, maxBytes=options.file_bytes, backupCount=options.file_count, encoding="utf-8"
            )
        except OSError as error:
            raise CommandError(f"--log-file {options.file}: {error.strerror}") from None
    elif options.console:
        handler = logging.StreamHandler(sys.stdout)
    else:
        handler = logging.StreamHandler(sys.stderr)
        level = max(level, logging.WARNING)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("p4jit")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
