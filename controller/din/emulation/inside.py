# SPDX-License-Identifier: Apache-2.0
"""The first process of a sandbox: ``python -m din.emulation.inside CONTROL ARGV...``

It prepares the namespaces, runs the program, and does a first process's duty: it waits for every process
that lost its parent. ``CONTROL`` is the reading end of a pipe: a byte is a signal for the program, its end is
ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Of this network namespace, below /proc/sys/net. Addresses are nobody else's, and switches do not advertise
#: themselves; the sources of reports are in no route of ours.
_SETTINGS: Final = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
}
_COMMANDS: Final = (
    ("ip", "link", "set", "lo", "up"),
    # Root's sandbox could write to all of the machine's settings; those below net are the namespace's own.
    ("mount", "--bind", "/proc/sys", "/proc/sys"),
    ("mount", "--bind", "/proc/sys/net", "/proc/sys/net"),
    ("mount", "-o", "remount,bind,ro", "/proc/sys"),
)
#: A sysfs shows the interfaces of the network namespace that it was mounted in, and bmv2 looks there whether
#: its ports are up. Not everywhere may we mount one; `Bmv2Switch` says what that means, others do without.
_SYSFS: Final = ("mount", "-t", "sysfs", "-o", "ro,nosuid,nodev,noexec", "sysfs", "/sys")
#: Statuses as a shell has them.
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127


def prepare() -> None:
    """Loopback up, settings made, and the machine's own out of reach. OSError, CalledProcessError."""
    for name, value in _SETTINGS.items():
        path = Path("/proc/sys/net") / name
        if path.exists():  # a kernel without IPv6 has none of its
            path.write_text(value)
    for command in _COMMANDS:
        subprocess.run(command, check=True)
    subprocess.run(_SYSFS, stderr=subprocess.DEVNULL)


def _obey(control: int, program: int) -> None:
    while byte := os.read(control, 1):
        with suppress(ProcessLookupError):
            os.kill(program, byte[0])
    os._exit(128 + signal.SIGKILL)


def main(arguments: Sequence[str]) -> int:
    """The program's exit status; 128 and the signal's number if one ended it."""
    control, argv = int(arguments[0]), list(arguments[1:])
    os.set_inheritable(control, False)
    try:
        prepare()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the sandbox cannot be prepared: {error}", file=sys.stderr)
        return _NOT_EXECUTABLE
    try:
        program = subprocess.Popen(argv, start_new_session=True)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND
    threading.Thread(target=_obey, args=(control, program.pid), daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == program.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # All that is still in the sandbox ends with its first process.
    os._exit(code)
