# SPDX-License-Identifier: Apache-2.0
"""`p4jit run`: devices on their ports behind one P4Runtime server, until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from p4jit.cli import logs, run_options
from p4jit.cli.config import Config
from p4jit.cli.config import Device as DeviceConfig
from p4jit.cli.config import Tls as TlsConfig
from p4jit.cli.program import compile_file, read_p4info
from p4jit.cli.run_options import JsonVersionAsked, RunOptions
from p4jit.cli.stopping import until_signalled, wait_for_signal
from p4jit.cli.thrift_port import ThriftPort
from p4jit.cli.usage import CommandError, read_bytes

if TYPE_CHECKING:
    from p4jit.p4runtime import P4RuntimeServer, Tls
    from p4jit.target.device import Device

#: The newest version of bmv2's JSON format whose constructs are known (p4lang/behavioral-model 1.15).
JSON_VERSION = "2.24"

_log = logging.getLogger("p4jit")


def main(arguments: Sequence[str]) -> int:
    try:
        options = run_options.parse(arguments)
    except JsonVersionAsked:
        print(JSON_VERSION)
        return 0
    logs.set_up(options.log)
    for note in options.notes:
        print(f"p4jit run: note: {note}", file=sys.stderr)
    with until_signalled(), ExitStack() as stack:
        _run(options, stack)
    return 0


def _run(options: RunOptions, stack: ExitStack) -> None:
    """Start everything, and wait. The server comes last: its port opens when the switch is ready."""
    from p4jit.p4runtime import ServerError

    config = options.config
    devices = {device.id: _device(device, stack) for device in config.devices}
    if options.file_delay is None:
        _add_ports(config, devices)
    server = _server(config, devices)
    for device in config.devices:
        _install(device, devices[device.id], server)
        devices[device.id].start()
    try:
        server.start()
    except ServerError as error:
        raise CommandError(str(error)) from None
    stack.callback(server.stop)
    if options.thrift_port is not None:
        _open_thrift_port(options.thrift_port, stack)
    print(f"Server listening on {_listening(config.server.address, server.port)}", flush=True)
    if options.file_delay is not None:
        time.sleep(options.file_delay)
        _add_ports(config, devices)
    wait_for_signal()


def _device(config: DeviceConfig, stack: ExitStack) -> Device:
    from p4jit.target.device import Device

    device = Device(
        config.id,
        queues=config.queues,
        drop_port=config.drop_port,
        cpu_port=config.cpu_port,
        seed=config.seed,
        clamp_priority=config.clamp_priority,
    )
    stack.callback(device.close)
    _log.info("device %d: its time 0 is %d ns after the Unix epoch", config.id, device.epoch)
    return device


def _server(config: Config, devices: dict[int, Device]) -> P4RuntimeServer:
    from finsy.proto import p4i

    from p4jit.p4runtime import P4RuntimeServer
    from p4jit.target.build import CompiledProgram, compile_program

    def compile_pushed(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
        return compile_program(json, "pushed", p4info)

    tls = _tls(config.server.tls) if config.server.tls else None
    return P4RuntimeServer(devices.values(), compile_pushed, config.server.address, tls)


def _tls(config: TlsConfig) -> Tls:
    from p4jit.p4runtime import Tls

    return Tls(
        key=read_bytes(config.key),
        certificate=read_bytes(config.certificate),
        client_ca=read_bytes(config.client_ca) if config.client_ca else None,
    )


def _listening(address: str, port: int) -> str:
    """The address, with the port that was picked where 0 asked for one."""
    return address if address.startswith("unix") else f"{address.rpartition(':')[0]}:{port}"


def _install(config: DeviceConfig, device: Device, server: P4RuntimeServer) -> None:
    """Run the program given; with its P4Info, as if a controller had pushed the two."""
    from p4jit.p4runtime import P4Error
    from p4jit.target.interface import DeviceError

    if config.pipeline is None:
        return
    path = config.pipeline.json_file
    p4info = read_p4info(config.pipeline.p4info) if config.pipeline.p4info else None
    program = compile_file(path, p4info)
    try:
        if p4info is None:
            device.load(program)
        else:
            server.install(config.id, p4info, program.json)
    except (P4Error, DeviceError) as error:
        raise CommandError(f"{path}: {error}") from None
    _log.info("device %d runs %s", config.id, path)


def _add_ports(config: Config, devices: dict[int, Device]) -> None:
    from p4jit.target.interface import DeviceError

    for device in config.devices:
        # All at once: what a capture file sends must find the other ports there.
        with devices[device.id].frozen():
            for number, port in device.ports.items():
                spec = port.spec(device)
                try:
                    devices[device.id].port_add(number, spec)
                except DeviceError as error:
                    raise CommandError(f"device {device.id}: {error}") from None
                note = devices[device.id].port_note(number)
                print(f"Adding interface {spec.name} as port {number}{note and f' ({note})'}", flush=True)


def _open_thrift_port(port: int, stack: ExitStack) -> None:
    try:
        stack.callback(ThriftPort(port).close)
    except OSError as error:
        raise CommandError(f"--thrift-port {port}: {error.strerror}") from None
