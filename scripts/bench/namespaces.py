# SPDX-License-Identifier: Apache-2.0
"""Network namespaces that live as long as a process which waits for its standard input to end: none is left
behind, however their maker ends."""

from __future__ import annotations

import subprocess
from types import TracebackType


def why_unavailable() -> str | None:
    """The reason why namespaces can't be made here, or None."""
    try:
        done = subprocess.run(["unshare", "--net", "ip", "link"], capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed (Debian: iproute2, util-linux)"
    if done.returncode != 0:
        return f"no network namespaces ({done.stderr.strip()}): run as root, or under `unshare -Ur`"
    return None


class Namespace:
    """A network namespace with its loopback up and no IPv6, which would send frames of its own."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec cat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            raise OSError("unshare --net failed")
        for name in ("all", "default"):
            self.set(f"net/ipv6/conf/{name}/disable_ipv6", 1)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, *arguments: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", *arguments]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def set(self, name: str, value: int) -> None:
        """Write /proc/sys/``name``, where the kernel has it."""
        self.run("sh", "-c", f"[ ! -e /proc/sys/{name} ] || echo {value} >/proc/sys/{name}")

    def close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait()

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def add_veth(one: Namespace, one_name: str, other: Namespace, other_name: str, mtu: int = 1500) -> None:
    """A pair of interfaces, both up."""
    peer = ["peer", "name", other_name, "mtu", str(mtu), "netns", str(other.pid)]
    one.run("ip", "link", "add", one_name, "mtu", str(mtu), "type", "veth", *peer)
    one.run("ip", "link", "set", one_name, "up")
    other.run("ip", "link", "set", other_name, "up")
