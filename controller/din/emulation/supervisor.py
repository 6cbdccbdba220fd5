# SPDX-License-Identifier: Apache-2.0
"""A model's network on this machine, from its beginning to its end. Blocking; one thread at a time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet

from ..model.dscp import DSCP
from ..model.emulated import Event, EventKind
from ..model.network import Model
from ..model.topology import Host, Target
from ..model.wiring import Wiring
from .cpu import CpuMeter
from .errors import EmulationError, run
from .events import Running, begin
from .hosts import answer_for
from .links import WireLink
from .management import ManagementNetwork
from .names import hide_resolver, show_names, write_names
from .processes import Process, Processes
from .servers import slow_down
from .switches import P4RuntimeSwitch
from .topology import DinTopo, built, services_of
from .traffic import DEFAULT_SIZE

#: What is being done, and how much of it is.
Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """Told to nobody."""


class Emulation:
    """Made and used in a sandbox (`din.emulation.sandbox`): it takes the network namespace for its own.

    ``files`` is the folder that the model's files are relative to. ``crashed`` is called, in another thread,
    with each program or switch that ends with an error by itself.
    """

    def __init__(
        self,
        model: Model,
        wiring: Wiring,
        state_dir: Path,
        target: Target = Target.P4JIT,
        *,
        files: Path = Path(),
        crashed: Callable[[Process], None] = lambda process: None,
    ) -> None:
        self.model = model
        self.wiring = wiring
        self.target = Target(target)
        self.folder = state_dir / "emulation"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = files
        #: Whose services hosts answer for.
        self._served = model
        self._crashed = crashed
        self._cpu = CpuMeter()
        self._net: Any = None
        self._management: ManagementNetwork | None = None
        self._processes: Processes | None = None
        self._watched: dict[str, Process] = {}

    # ---- life ----------------------------------------------------------------------------------------------

    def start(self, progress: Progress = no_progress) -> None:
        """Until every switch waits for its program.

        EmulationError: something of it fails; `stop` takes down the rest.
        """
        setLogLevel("warning")
        # It would raise limits of the whole machine, which an emulation has no business with.
        Mininet.inited = True
        self._processes = Processes(self.folder, self._crashed)
        show_names(self.model, self.folder)
        hide_resolver(self.folder)
        topology = DinTopo(
            model=self.model, wiring=self.wiring, folder=self.folder, target=self.target, files=self._files
        )
        progress("hosts and links", 0, 1)
        self._net = Mininet(topology, controller=None, build=False)
        self._net.build()
        self._management = ManagementNetwork(
            self.model.management.network,
            self.wiring.controller_address,
            [
                (self.node(host.name), self.wiring.management_address(host.name))
                for host in self.model.hosts
                if self.node(host.name).inNamespace
            ],
        )
        progress("hosts and links", 1, 1)
        for switch in self._net.switches:
            switch.start()
        for number, switch in enumerate(self._switches(), 1):
            switch.wait()
            self._watch(switch)
            progress("switches", number, len(self.model.switches))
        for link in self._wires():
            link.wait()

    def stop(self) -> None:
        """Programs, switches, then the rest."""
        if self._processes is not None:
            self._processes.stop()
            self._processes = None
        if self._net is None:
            return
        if self._management is not None:
            self._management.stop()
            self._management = None
        self._net.stop()
        self._net = None

    def __enter__(self) -> Emulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- what there is -------------------------------------------------------------------------------------

    @property
    def addresses(self) -> dict[str, str]:
        """Of the switches' P4Runtime servers, in this network namespace."""
        return {switch.name: switch.address for switch in self._switches()}

    def node(self, name: str) -> Any:
        """Mininet's own. EmulationError: there is no such host or switch, or nothing has been started."""
        if self._net is None:
            raise EmulationError("the emulation is not running")
        if name not in self._net:
            raise EmulationError(f"there is no host or switch {name}")
        return self._net[name]

    def is_running(self, switch: str) -> bool:
        """Whether a switch's process is there."""
        return self._switch(switch).running

    def host_cpu(self) -> float:
        """The machine's utilisation since this was last asked, 0 to 1."""
        return self._cpu.sample()

    def failures(self) -> list[str]:
        """Programs, switches and wires that ended with an error by themselves, and what they said at last."""
        found = self._running().failures()
        for wire in self._wires():
            if (status := wire.process.poll()) is not None:
                found.append(f"the wire between {' and '.join(wire.names)} ended with status {status}")
        return found

    # ---- another revision ----------------------------------------------------------------------------------

    def unlike(self, model: Model) -> list[str]:
        """What it cannot become of another model, since switches, hosts and wires are as they were made:
        ``host ward is new``. EmulationError: a host without a way out.
        """
        there, wanted = (built(each, Wiring(each), self._files) for each in (self.model, model))
        return [
            *(f"{name} is new" for name in wanted if name not in there),
            *(f"{name} is gone" for name in there if name not in wanted),
            *(f"{name} is changed" for name in wanted if name in there and wanted[name] != there[name]),
        ]

    def follow(self, model: Model) -> None:
        """Service addresses and names as another model has them, in the hosts that there are.

        EmulationError: the kernel refuses.
        """
        for host in self.model.hosts:
            before, now = (services_of(each, host) for each in (self._served, model))
            if before != now:
                answer_for(self.node(host.name), now, before)
        write_names(model, self.folder)
        self._served = model

    # ---- programs ------------------------------------------------------------------------------------------

    def run(self, host: str, argv: Sequence[str], log: str) -> Process:
        """Run a program in a host; its output goes to ``log``.log in the emulation's folder.

        EmulationError: no such host.
        """
        return self._running().start(self._host(host), argv, log)

    def congest(self, event: Event) -> list[Process]:
        """Begin the traffic of a congested-link event; it lasts until the processes are stopped.

        EmulationError: the event says not who sends what to whom.
        """
        if event.kind is not EventKind.CONGESTED_LINK or not (event.source and event.sink and event.rate):
            raise EmulationError("a congested-link event needs source, sink and rate")
        source, sink = self._model_host(event.source), self._model_host(event.sink)
        families = {address.version for address in source.addresses}
        address = next((each.ip for each in sink.addresses if each.version in families), None)
        if address is None:
            raise EmulationError(f"{source.name} and {sink.name} have no family of addresses in common")
        program = (sys.executable, "-m", "din.emulation.traffic")
        options = ["--size", str(DEFAULT_SIZE), "--dscp", str(DSCP.get(event.traffic_class, 0))]
        return [
            self.run(sink.name, [*program, "receive"], f"congestion-{sink.name}"),
            self.run(
                source.name,
                [*program, "send", str(address), str(event.rate), *options],
                f"congestion-{source.name}",
            ),
        ]

    # ---- what fails ----------------------------------------------------------------------------------------

    def set_link(self, a: str, b: str, up: bool) -> None:
        """Cut the links between two switches or mend them; ``switch:port`` names one of several.

        EmulationError: there is no such link.
        """
        ends = _split(a), _split(b)
        found = [
            hop
            for hop in self.wiring.hops
            if all(
                name == switch and port in (None, number)
                for (name, port), (switch, number) in zip(
                    ends, ((hop.src, hop.src_port), (hop.dst, hop.dst_port)), strict=True
                )
            )
        ]
        if not found:
            raise EmulationError(f"there is no link between {a} and {b}")
        ports = [end for hop in found for end in ((hop.src, hop.src_port), (hop.dst, hop.dst_port))]
        self._set_ports(ports, up)

    def stop_switch(self, name: str) -> None:
        """As if its power failed: its process ends, and its neighbours see their links go down."""
        switch = self._switch(name)
        if switch.running:
            self._watched[name].stop(signal.SIGKILL)
        self._set_ports([(name, port) for port in switch.port_interfaces()], False)

    def start_switch(self, name: str) -> None:
        """Start it again, empty. EmulationError: it runs, or does not start."""
        switch = self._switch(name)
        if switch.running:
            raise EmulationError(f"switch {name} runs already")
        self._set_ports([(name, port) for port in switch.port_interfaces()], True)
        switch.start()
        switch.wait()
        self._watch(switch)

    def slow(self, instance: str, factor: float) -> None:
        """Have a server take so many times as long as it does; 1 is its own speed.

        EmulationError: there is no such instance, or it does not answer.
        """
        slow_down(self._served, self.wiring, instance, factor)

    def begin(self, event: Event) -> Running:
        """Begin an event of a comparison. EmulationError."""
        return begin(self, event)

    def _set_ports(self, ports: Sequence[tuple[str, int]], up: bool) -> None:
        state = "up" if up else "down"
        ends = [self._switch(switch).intfs[port] for switch, port in ports]
        names = dict.fromkeys(name for intf in ends for name in intf.link.carriers(intf))
        run(("ip", "-batch", "-"), "\n".join(f"link set {name} {state}" for name in names))

    # ---- inside --------------------------------------------------------------------------------------------

    def _switches(self) -> list[P4RuntimeSwitch]:
        return [] if self._net is None else [self._net[switch.name] for switch in self.model.switches]

    def _wires(self) -> list[WireLink]:
        return [] if self._net is None else [link for link in self._net.links if isinstance(link, WireLink)]

    def _watch(self, switch: P4RuntimeSwitch) -> None:
        assert switch.process is not None
        process = Process(f"switch {switch.name}", None, (), switch.log, switch.process)
        self._watched[switch.name] = process
        self._running().watch(process)

    def _switch(self, name: str) -> P4RuntimeSwitch:
        if name not in self.model.switch:
            raise EmulationError(f"there is no switch {name}")
        switch: P4RuntimeSwitch = self.node(name)
        return switch

    def _model_host(self, name: str) -> Host:
        if name not in self.model.host:
            raise EmulationError(f"there is no host {name}")
        return self.model.host[name]

    def _host(self, name: str) -> Any:
        return self.node(self._model_host(name).name)

    def _running(self) -> Processes:
        if self._processes is None:
            raise EmulationError("the emulation is not running")
        return self._processes


def _split(endpoint: str) -> tuple[str, int | None]:
    """EmulationError: what is after the colon is no number."""
    switch, _, port = endpoint.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        raise EmulationError(f"{endpoint}: {port} is no port's number")
    return switch, int(port) if port else None
