# SPDX-License-Identifier: Apache-2.0
"""What the controller answers: the API's bodies, for servers and clients of it alike. Times in seconds,
latencies in us.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Request(BaseModel):
    """A body that clients send: a field that we do not know is refused, since it would be ignored."""

    model_config = ConfigDict(extra="forbid")


class SwitchStatus(BaseModel):
    name: str
    role: str
    target: str
    address: str
    connected: bool
    primary: bool
    entries: int  # that it is to hold
    pending: int  # of them, not there yet
    error: str = ""
    ports_down: list[int] = []


class LinkStatus(BaseModel):
    """One direction."""

    src: str
    src_port: int
    dst: str
    dst_port: int
    up: bool
    delay: int  # propagation
    extra: float | None = None  # measured beyond it; None: not known
    age: float | None = None  # of that
    miswired: str = ""  # what is at the other end instead


class InstanceStatus(BaseModel):
    name: str
    service: str
    host: str
    leaf: str
    variant: str
    alive: bool | None
    reason: str = ""
    drained: bool = False
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    in_flight: int | None = None
    level: int | None = None  # CATS L2, 0 (worst) to 10


class ServiceStatus(BaseModel):
    name: str
    dns: str
    addresses: list[str]
    port: int
    served_model: str
    alive: int
    instances: int


class Status(BaseModel):
    model: str
    revision: int
    uptime: float
    role: str  # primary | backup of some or all switches
    instance_choice: str
    path_choice: str
    switches: list[SwitchStatus]
    links: list[LinkStatus]
    instances: list[InstanceStatus]
    services: list[ServiceStatus]
    reports: int = 0
    reports_lost: int = 0


class RouteView(BaseModel):
    nodes: list[str]
    base_latency: int
    measured_latency: float | None  # None: no part of it was measured
    mtu: int | None
    cost: float


class ChoiceView(BaseModel):
    instance: str
    variant: str
    share: float
    request: RouteView
    response: RouteView
    queue: float | None
    compute: float | None
    total: float


class RejectionView(BaseModel):
    what: str
    constraint: str
    detail: str


class DecisionView(BaseModel):
    leaf: str
    service: str
    tenant: str
    traffic_class: str
    label: str  # "": unlabelled
    choices: list[ChoiceView]
    rejected: list[RejectionView]


class PlanView(BaseModel):
    revision: int
    decisions: list[DecisionView]


class TableChange(BaseModel):
    switch: str
    table: str
    inserted: int
    modified: int
    deleted: int
    before: int  # entries


class EntryChange(BaseModel):
    switch: str
    change: str  # insert | modify | delete
    entry: str


class Changes(BaseModel):
    """A blast radius: all counts, and some of the entries."""

    tables: list[TableChange]
    entries: list[EntryChange]
    omitted: int = 0
    unreachable: list[str] = []
    mass_deletion: str = ""  # why it needs --yes


class ProblemView(BaseModel):
    file: str
    line: int | None
    field: str
    message: str
    severity: str = "error"


class Refusal(BaseModel):
    """The body of a 4xx."""

    error: str
    problems: list[ProblemView] = []
    changes: Changes | None = None


class ModelText(_Request):
    """A model as the caller read it; `file` is where, so that what it names is found."""

    text: str
    file: str


class ApplyRequest(_Request):
    model: ModelText
    yes: bool = False
    dry_run: bool = False


class RollbackRequest(_Request):
    revision: int | None = None  # None: the one before
    yes: bool = False


class Applied(BaseModel):
    revision: int
    changes: Changes
    warnings: list[ProblemView] = []
    seconds: float


class RevisionView(BaseModel):
    number: int
    at: float
    file: str
    reason: str
    current: bool


class DrainRequest(_Request):
    instance: str
    deadline: float = Field(60.0, ge=0, allow_inf_nan=False)


class DrainProgress(BaseModel):
    """A line of the answer to a drain."""

    instance: str
    in_flight: int | None
    elapsed: float
    state: str  # draining | drained | cut | undrained: somebody did that meanwhile
    cut: int = 0


class SteeringRequest(_Request):
    instances: str  # din | equal | nearest | client
    paths: str  # din | shortest


class Pick(BaseModel):
    """Which instance a new session is to use, and how to get there."""

    service: str
    instance: str
    instance_id: int
    service_id: int
    addresses: list[str]
    port: int


class Numbers(BaseModel):
    """What names are on the wire: for keyrings of SDKs and agents."""

    tenants: dict[str, int]
    services: dict[str, int]
    labels: dict[str, int]
    instances: dict[str, int]
