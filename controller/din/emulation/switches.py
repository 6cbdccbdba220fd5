# SPDX-License-Identifier: Apache-2.0
"""P4Runtime switches for Mininet: ``Mininet(topo, switch=P4jitSwitch, controller=None)``.

They start without a program and wait for a controller to push one. Their P4Runtime server is at
``switch.address``.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from mininet.node import Switch

from .errors import EmulationError, tail
from .links import frames_under_way

CPU_PORT: Final = 510
DROP_PORT: Final = 511
QUEUES: Final = 8
_INTERFACES: Final = Path("/sys/class/net")
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True)
class ServerTls:
    """PEM files of a P4Runtime server. Clients must present a certificate that ``ca`` signed."""

    certificate: Path
    key: Path
    ca: Path


class P4RuntimeSwitch(Switch):  # type: ignore[misc]
    """What the two have in common. Their files are in ``folder``; if none is given, in a temporary one."""

    def __init__(
        self,
        name: str,
        *,
        device_id: int = 1,
        address: str | None = None,
        tls: ServerTls | None = None,
        folder: Path | None = None,
        **params: Any,
    ) -> None:
        # A data path ID is OpenFlow's; Mininet insists on one.
        params["dpid"] = params.get("dpid") or f"{device_id:x}"
        super().__init__(name, **params)
        self.device_id = device_id
        self.address = address or f"127.0.0.1:{_free_port()}"
        self.tls = tls
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix=f"{name}-")
        self.folder = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self.log = self.folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def port_interfaces(self) -> dict[int, Any]:
        """Port number to interface."""
        return {port: intf for port, intf in self.intfs.items() if intf.name != "lo"}

    def command(self) -> Sequence[str]:
        """What runs it. Files that it needs are written."""
        raise NotImplementedError

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """Begin to; `wait` says when it has. It is empty, whatever it was before."""
        with self.log.open("ab") as log:
            self.process = self.popen(
                list(self.command()), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def connected(self) -> bool:
        """Whether its P4Runtime server listens."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            return False
        return True

    def wait(self) -> None:
        """Until it can be programmed. EmulationError: it ended, or takes longer than a minute."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.connected():
            if not self.running or time.monotonic() > deadline:
                raise EmulationError(f"switch {self.name} does not start:\n{tail(self.log)}")
            time.sleep(0.01)

    @classmethod
    def batchStartup(cls, switches: Sequence[P4RuntimeSwitch]) -> Sequence[P4RuntimeSwitch]:
        """Mininet's hook: all have begun to start, side by side."""
        for switch in switches:
            switch.wait()
        return switches

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def halt(self) -> None:
        """End the process, and keep the interfaces."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self, deleteIntfs: bool = True) -> None:
        self.halt()
        super().stop(deleteIntfs)

    def terminate(self) -> None:
        super().terminate()
        if self._temporary is not None:
            self._temporary.cleanup()


class P4jitSwitch(P4RuntimeSwitch):
    """p4jit. It emulates the rates and delays of its ports' links (`PortLink`)."""

    def command(self) -> Sequence[str]:
        path = self.folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.configuration(), sort_keys=False))
        return sys.executable, "-m", "p4jit", "run", "--config", str(path), "--log-console"

    def configuration(self) -> dict[str, Any]:
        """For ``p4jit run --config``."""
        server: dict[str, Any] = {"address": self.address}
        if self.tls is not None:
            files = {"certificate": self.tls.certificate, "key": self.tls.key, "client_ca": self.tls.ca}
            server["tls"] = {name: str(path.absolute()) for name, path in files.items()}
        device = {
            "id": self.device_id,
            "cpu_port": CPU_PORT,
            "drop_port": DROP_PORT,
            "queues": QUEUES,
            "ports": {port: _port(intf) for port, intf in sorted(self.port_interfaces().items())},
        }
        return {"server": server, "devices": [device]}


class Bmv2Switch(P4RuntimeSwitch):
    """simple_switch_grpc. It has no links to emulate: take `WireLink`.

    It looks every 200 ms whether its ports are up, which is what watch ports go by, and says so to nobody: a
    controller has no port events of it.
    """

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """EmulationError: it would take all its ports to be down."""
        for intf in self.port_interfaces().values():
            if not (_INTERFACES / intf.name).exists():
                raise EmulationError(
                    f"switch {self.name}: bmv2 looks in {_INTERFACES} whether its ports are up, and "
                    f"{intf.name} is not there, because /sys is another network namespace's and may not be "
                    "mounted here: run this with `--privileged` if it is a container, or take p4jit"
                )
        super().start(controllers)

    def command(self) -> Sequence[str]:
        argv = [
            "simple_switch_grpc",
            "--no-p4",
            "--device-id",
            str(self.device_id),
            "--log-console",
            "-L",
            "warn",
        ]
        for port, intf in sorted(self.port_interfaces().items()):
            argv += ["-i", f"{port}@{intf.name}"]
        # Its own sockets must be nobody else's: the file system is shared.
        argv += ["--notifications-addr", f"ipc://{self.folder.absolute() / self.name}.ipc"]
        argv += ["--thrift-port", str(_free_port()), "--", "--grpc-server-addr", self.address]
        argv += ["--cpu-port", str(CPU_PORT), "--drop-port", str(DROP_PORT), "--priority-queues", str(QUEUES)]
        if self.tls is not None:
            argv += ["--grpc-server-ssl", "--grpc-server-with-client-auth"]
            argv += ["--grpc-server-cert", str(self.tls.certificate), "--grpc-server-key", str(self.tls.key)]
            argv += ["--grpc-server-cacert", str(self.tls.ca)]
        return argv

    @classmethod
    def setup(cls) -> None:
        """EmulationError: it is not installed."""
        super().setup()
        if shutil.which("simple_switch_grpc") is None:
            raise EmulationError("simple_switch_grpc is not on PATH: install bmv2, or take the target p4jit")


def _port(intf: Any) -> dict[str, Any]:
    rate, delay = intf.params.get("rate"), intf.params.get("delay", 0)
    port: dict[str, Any] = {"interface": intf.name}
    if rate is not None or delay:
        port["link"] = {"delay": f"{delay}us", "limit": frames_under_way(rate, delay)}
        if rate is not None:
            port["link"]["rate"] = rate
    return port


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
