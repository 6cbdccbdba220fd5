# SPDX-License-Identifier: Apache-2.0
"""What `p4jit run` runs: the server and its devices, as a YAML file says it or as flags do.

    server:
      address: 0.0.0.0:9559
    devices:
      - id: 1
        pipeline: {json: leaf.json, p4info: leaf.p4info.txtpb}
        cpu_port: 255
        ports:
          1: {interface: leaf1-eth1, link: {rate: 100Mbit, delay: 5ms, loss: 0.1%}}
          2: {interface: leaf1-eth2, queues: {7: {rate: 10Mbit}}}

Paths are relative to the file. `load` raises ConfigError, whose text names the file, the line and the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from p4jit.cli import units
from p4jit.target.interface import LinkSpec, PortSpec, QueueSpec

DEFAULT_ADDRESS = "0.0.0.0:9559"
MAX_QUEUES = 8
MAX_PORT = 511
MAX_NODES = 100_000
MAX_DEPTH = 32


class ConfigError(Exception):
    """A configuration that cannot be run: what, where (``file:line: field``) and what is expected."""


def _check_address(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an address; write HOST:PORT")
    if value.startswith(("unix:", "unix-abstract:")):
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{value!r} is not an address; write HOST:PORT, [IPV6]:PORT or unix:PATH")
    return value


Rate = Annotated[int, BeforeValidator(units.parse_rate)]
Shaping = Annotated[tuple[int | None, int | None], BeforeValidator(units.parse_shaping)]
Duration = Annotated[int, BeforeValidator(units.parse_duration)]
Size = Annotated[int, BeforeValidator(units.parse_size)]
Probability = Annotated[float, BeforeValidator(units.parse_probability)]
Address = Annotated[str, BeforeValidator(_check_address)]
PortNumber = Annotated[int, Field(ge=0, le=MAX_PORT)]
QueueNumber = Annotated[int, Field(ge=0, lt=MAX_QUEUES)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(_Model):
    """An emulated link on the way out of a port."""

    rate: Rate | None = None
    delay: Duration = 0
    jitter: Duration = 0
    loss: Probability = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    limit: Annotated[int, Field(ge=1)] = 1000

    def spec(self) -> LinkSpec:
        return LinkSpec(self.rate, self.delay, self.jitter, self.loss, self.seed, self.limit)


class Queue(_Model):
    """A queue: depth in packets and bytes, and its own rate (``10Mbit`` or ``5kpps``)."""

    depth: Annotated[int, Field(ge=1)] | None = None
    depth_bytes: Size | None = None
    rate: Shaping | None = None
    burst: Size | None = None
    burst_packets: Annotated[int, Field(ge=1)] | None = None

    def over(self, base: QueueSpec) -> QueueSpec:
        """The base with what this says put over it."""
        bits, packets = self.rate or (base.rate_bits, base.rate_packets)
        return QueueSpec(
            depth_packets=self.depth or base.depth_packets,
            depth_bytes=base.depth_bytes if self.depth_bytes is None else self.depth_bytes,
            rate_bits=bits,
            rate_packets=packets,
            burst_bytes=self.burst or base.burst_bytes,
            burst_packets=self.burst_packets or base.burst_packets,
        )


def _check_file(value: object) -> object:
    if not isinstance(value, str) or not value or ":" in value:
        raise ValueError(f"{value!r} is not the path of a file (and a colon cannot be part of it)")
    return value


CaptureFile = Annotated[str, BeforeValidator(_check_file)]


class Files(_Model):
    """Capture files in place of an interface: frames come from ``input`` and go to ``output``."""

    input: CaptureFile | None = None
    output: CaptureFile | None = None


class Port(_Model):
    """A port: the interface or capture files behind it, its link, rate and queues."""

    interface: str | None = None
    pcap: Files | None = None
    xdp: bool = False
    link: Link | None = None
    rate: Shaping | None = None
    queue: Queue | None = None
    queues: dict[QueueNumber, Queue] = Field(default_factory=dict)
    capture: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.interface is None) == (self.pcap is None):
            raise ValueError("a port has an 'interface' or a 'pcap'")
        if self.interface is None and (self.xdp or self.capture is not None):
            raise ValueError("'xdp' and 'capture' need an 'interface'")
        if self.interface is not None and not 0 < len(self.interface.encode()) < 16:
            raise ValueError(f"interface name {self.interface!r} must have 1 to 15 bytes")
        return self

    def spec(self, device: Device) -> PortSpec:
        bits, packets = self.rate or (None, None)
        queues = None
        if self.queue or self.queues or device.queue:
            base = QueueSpec()
            for defaults in (device.queue, self.queue):
                base = defaults.over(base) if defaults else base
            queues = tuple(
                self.queues[number].over(base) if number in self.queues else base
                for number in range(device.queues)
            )
        files = self.pcap or Files()
        return PortSpec(
            kind="interface" if self.interface is not None else "pcap",
            name=self.interface or f"{files.input or ''}:{files.output or ''}",
            xdp=self.xdp,
            link=self.link.spec() if self.link else None,
            rate_bits=bits,
            rate_packets=packets,
            queues=queues,
            capture=self.capture,
        )


class Pipeline(_Model):
    """The program a device starts with; without it, it waits for a controller's push."""

    json_file: Annotated[Path, Field(alias="json")]
    p4info: Path | None = None


class Device(_Model):
    """One switch."""

    id: Annotated[int, Field(ge=0, lt=2**64)]
    pipeline: Pipeline | None = None
    cpu_port: Annotated[int, Field(ge=1, le=MAX_PORT)] | None = None
    drop_port: PortNumber = MAX_PORT
    queues: Annotated[int, Field(ge=1, le=MAX_QUEUES)] = MAX_QUEUES
    queue: Queue | None = None
    #: A priority beyond the queues takes the top one; without this the program is refused.
    clamp_priority: bool = False
    #: Of the program's random numbers; without it they differ from run to run.
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    ports: dict[PortNumber, Port] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ports_agree(self) -> Self:
        if self.cpu_port == self.drop_port:
            raise ValueError(f"cpu_port and drop_port are both {self.drop_port}; choose another drop_port")
        for number, port in self.ports.items():
            if number == self.cpu_port:
                raise ValueError(f"port {number} is the CPU port: it has no interface")
            if number == self.drop_port:
                raise ValueError(f"port {number} is the drop port; choose another drop_port to use it")
            beyond = [queue for queue in port.queues if queue >= self.queues]
            if beyond:
                raise ValueError(f"port {number} configures queue {beyond[0]} of {self.queues} (from 0)")
        interfaces = [port.interface for port in self.ports.values() if port.interface]
        for interface in interfaces:
            if interfaces.count(interface) > 1:
                raise ValueError(f"interface {interface} is behind two ports")
        return self


class Tls(_Model):
    """PEM files. With ``client_ca`` clients must present a certificate it signed (mutual TLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Server(_Model):
    address: Address = DEFAULT_ADDRESS
    tls: Tls | None = None


class Config(_Model):
    server: Server = Server()
    devices: Annotated[list[Device], Field(min_length=1)]

    @model_validator(mode="after")
    def _devices_differ(self) -> Self:
        ids = [device.id for device in self.devices]
        for device_id in ids:
            if ids.count(device_id) > 1:
                raise ValueError(f"two devices have the id {device_id}")
        return self


def load(path: Path) -> Config:
    """Read a configuration file. Its relative paths become relative to the working directory."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    config = parse(text, str(path))
    return _rebase(config, path.parent)


def parse(text: str, name: str) -> Config:
    """Check the text of a configuration file; ``name`` is what errors call it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise ConfigError(f"{name}: empty; it needs at least 'devices:' with one device")
        lines = dict(_lines(root, (), name))
        data = yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"{name}: more than {MAX_DEPTH} levels") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: {getattr(error, 'problem', None) or error}") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, lines, name))) from None


FieldPath = tuple[str, ...]


def _lines(node: yaml.Node, path: FieldPath, name: str) -> Iterator[tuple[FieldPath, int]]:
    """The line each field stands on; a key given twice is an error, which YAML itself lets pass."""
    pending: list[tuple[yaml.Node, FieldPath]] = [(node, path)]
    visited = 0
    while pending:
        node, path = pending.pop()
        # Aliases can make a small file unfold into a huge tree, or an endless one.
        visited += 1
        if visited > MAX_NODES or len(path) > MAX_DEPTH:
            line = node.start_mark.line + 1
            raise ConfigError(f"{name}:{line}: more than {MAX_NODES} values or {MAX_DEPTH} levels")
        yield path, node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                text = str(key.value)
                if text in seen and text != "<<":
                    raise ConfigError(f"{name}:{key.start_mark.line + 1}: {text!r} is given twice")
                seen.add(text)
                # A value on later lines is found by its key's line.
                yield (*path, text), key.start_mark.line + 1
                pending.append((value, (*path, text)))
        elif isinstance(node, yaml.SequenceNode):
            pending.extend((value, (*path, str(index))) for index, value in enumerate(node.value))


def _explain(error: ValidationError, lines: dict[FieldPath, int], name: str) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = tuple(str(part) for part in problem["loc"] if part != "[key]")
        place = path
        while place not in lines:
            place = place[:-1]
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "unknown field"
        field = ".".join(path)
        yield f"{name}:{lines[place]}: {field + ': ' if field else ''}{message}"


def _rebase(config: Config, folder: Path) -> Config:
    def rebase(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    def rebase_port(port: Port) -> Port:
        files = port.pcap and Files(input=rebase(port.pcap.input), output=rebase(port.pcap.output))
        return port.model_copy(update={"capture": rebase(port.capture), "pcap": files})

    def rebase_device(device: Device) -> Device:
        ports = {number: rebase_port(port) for number, port in device.ports.items()}
        pipeline = device.pipeline and device.pipeline.model_copy(
            update={
                "json_file": folder / device.pipeline.json_file,
                "p4info": device.pipeline.p4info and folder / device.pipeline.p4info,
            }
        )
        return device.model_copy(update={"ports": ports, "pipeline": pipeline})

    tls = config.server.tls and config.server.tls.model_copy(
        update={
            key: folder / value
            for key in ("certificate", "key", "client_ca")
            if (value := getattr(config.server.tls, key)) is not None
        }
    )
    return config.model_copy(
        update={
            "server": config.server.model_copy(update={"tls": tls}),
            "devices": [rebase_device(device) for device in config.devices],
        }
    )
