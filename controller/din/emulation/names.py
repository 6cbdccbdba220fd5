# SPDX-License-Identifier: Apache-2.0
"""Names in an emulation: services' DNS names in /etc/hosts, and no resolver to wait for."""

from __future__ import annotations

from pathlib import Path

from ..model.names import hosts_file
from ..model.network import Model
from .errors import run

_LOCAL = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def show_names(model: Model, folder: Path) -> None:
    """Put it over /etc/hosts, in our mount namespace and those that are made from it."""
    _over(write_names(model, folder), Path("/etc/hosts"))


def write_names(model: Model, folder: Path) -> Path:
    """What is shown already has its new content at once: the file stays the same one."""
    path = folder / "hosts"
    path.write_text(_LOCAL + hosts_file(model))
    return path


def hide_resolver(folder: Path) -> None:
    """An empty resolv.conf: the resolver then asks 127.0.0.1, which refuses, so that a name that is not in
    the hosts file is unknown at once."""
    path = folder / "resolv.conf"
    path.write_text("")
    _over(path, Path("/etc/resolv.conf"))


def _over(path: Path, system: Path) -> None:
    if system.exists():
        run(("mount", "--bind", str(path), str(system)))
