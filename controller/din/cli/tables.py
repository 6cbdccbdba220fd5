# SPDX-License-Identifier: Apache-2.0
"""Status and plan as people read them. Pure: from the API's bodies to what rich prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from din.api.schema import (
    DecisionView,
    InstanceStatus,
    LinkStatus,
    PlanView,
    RevisionView,
    RouteView,
    ServiceStatus,
    Status,
    SwitchStatus,
)
from din.model.units import show_time

_UNKNOWN = "–"


def table(title: str, *columns: str) -> Table:
    """Numbers' columns are named with a leading ``>``."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return made


def good(text: str) -> Text:
    return Text(text, style="green")


def bad(text: str) -> Text:
    return Text(text, style="bold red")


def doubtful(text: str) -> Text:
    return Text(text, style="yellow")


# ---- status ------------------------------------------------------------------------------------------------


def status(found: Status) -> RenderableType:
    parts: list[RenderableType] = [
        Text(
            f"{found.model}: revision {found.revision}, instances by {found.instance_choice}, paths by "
            f"{found.path_choice}; controller up {duration(found.uptime)}, {found.role}"
        ),
        Text(),
        services(found.services),
        instances(found.instances),
        switches(found.switches),
        links(found.links),
    ]
    reports = f"telemetry reports: {found.reports:,}"
    parts.append(bad(f"{reports}, {found.reports_lost:,} lost") if found.reports_lost else Text(reports))
    return Group(*parts)


def services(found: Sequence[ServiceStatus]) -> Table:
    made = table("Services", "name", "where", "addresses", "model", "servers")
    for each in found:
        alive = f"{each.alive} of {each.instances}"
        colour = good if each.alive == each.instances else doubtful if each.alive else bad
        made.add_row(
            each.name,
            f"http://{each.dns}:{each.port}/v1",
            ", ".join(each.addresses),
            each.served_model,
            colour(alive),
        )
    return made


def instances(found: Sequence[InstanceStatus]) -> Table:
    made = table(
        "Model servers",
        *("name", "service", "variant", "at", "health"),
        *(">running", ">waiting", ">KV cache", ">in flight", ">level"),
    )
    for each in found:
        made.add_row(
            each.name,
            each.service,
            each.variant,
            f"{each.host}, {each.leaf}",
            _health(each),
            _number(each.running),
            _number(each.waiting),
            _UNKNOWN if each.kv_usage is None else f"{each.kv_usage:.0%}",
            _number(each.in_flight),
            _number(each.level),
        )
    return made


def _health(each: InstanceStatus) -> Text:
    if each.alive is None:
        return doubtful(each.reason or "not known")
    if not each.alive:
        return bad(f"dead: {each.reason}" if each.reason else "dead")
    if each.reason:
        return doubtful(each.reason)
    return doubtful("drained") if each.drained else good("alive")


def switches(found: Sequence[SwitchStatus]) -> Table:
    made = table("Switches", "name", "role", "target", "P4Runtime", "state", ">entries", "ports down")
    for each in found:
        made.add_row(
            each.name,
            each.role,
            each.target,
            each.address,
            _programmed(each),
            f"{each.entries:,}",
            bad(", ".join(map(str, each.ports_down))) if each.ports_down else _UNKNOWN,
        )
    return made


def _programmed(each: SwitchStatus) -> Text:
    if not each.connected:
        return bad(f"not connected: {each.error}" if each.error else "not connected")
    if not each.primary:
        return doubtful(f"not ours: {each.error}" if each.error else "not ours")
    if each.error:
        return bad(each.error)
    return doubtful(f"{each.pending:,} to write") if each.pending else good("programmed")


def links(found: Sequence[LinkStatus]) -> Table:
    """A row a link, both ways."""
    made = table("Links", "between", "and", "there", "back", ">delay", ">measured beyond it, there", ">back")
    by_ends = {(each.src, each.src_port, each.dst, each.dst_port): each for each in found}
    for there in found:
        ends = (there.src, there.src_port, there.dst, there.dst_port)
        back = by_ends.pop((*ends[2:], *ends[:2]), None)
        # It was in the row of its other direction.
        if by_ends.pop(ends, None) is None:
            continue
        ways = [there] if back is None else [there, back]
        made.add_row(
            f"{there.src}:{there.src_port}",
            f"{there.dst}:{there.dst_port}",
            *_both([_link_state(each) for each in ways]),
            show_time(there.delay),
            *_both([_UNKNOWN if each.extra is None else f"+{show_time(each.extra)}" for each in ways]),
        )
    return made


def _both(cells: Sequence[RenderableType]) -> list[RenderableType]:
    return [*cells, ""][:2]


def _link_state(found: LinkStatus) -> Text:
    if found.miswired:
        return bad(f"miswired: {found.miswired} is there")
    return good("up") if found.up else bad("down")


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:g}"


def duration(seconds: float) -> str:
    """In its two largest units."""
    whole = int(seconds)
    for size, name, smaller, small in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small}"
    return f"{whole} s"


# ---- plan --------------------------------------------------------------------------------------------------


def plan(found: PlanView) -> RenderableType:
    made = table(
        f"Plan of revision {found.revision}",
        *("from", "service", "tenant", "class", "label", "instance"),
        *(">share", "request", "response", ">expected"),
    )
    for decision in found.decisions:
        for first, row in _choices(decision):
            who = [decision.leaf, decision.service, decision.tenant, decision.traffic_class, decision.label]
            made.add_row(*(who if first else [""] * len(who)), *row)
    return made


def _choices(decision: DecisionView) -> Iterator[tuple[bool, list[RenderableType]]]:
    for number, each in enumerate(decision.choices):
        row: list[RenderableType] = [
            each.instance,
            f"{each.share:.0%}",
            way(each.request),
            way(each.response),
            show_time(each.total),
        ]
        yield number == 0, row
    if not decision.choices:
        yield True, [bad("nobody: din explain says why"), "", "", "", ""]


def way(route: RouteView) -> str:
    return " → ".join(route.nodes) or "its own leaf"


# ---- revisions ---------------------------------------------------------------------------------------------


def revisions(found: Sequence[RevisionView]) -> Table:
    made = table("Revisions", "", ">number", "at", "why", "file")
    for each in found:
        at = datetime.fromtimestamp(each.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        made.add_row("→" if each.current else "", str(each.number), at, each.reason, each.file)
    return made
