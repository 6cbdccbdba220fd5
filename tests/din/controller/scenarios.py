# SPDX-License-Identifier: Apache-2.0
"""What happens to one network, one thing after the other: `python scenarios.py MODEL STATE RESULT` in a
sandbox. RESULT gets what was seen, as JSON, by scenario; `test_live` judges it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from din.api.client import Client, NotRunningError
from din.api.schema import ApplyRequest, DrainRequest, ModelText, RollbackRequest
from din.model.emulated import Event, EventKind
from din.model.service import TrafficClassName
from din.p4rt.canonical import show
from din.p4rt.channel import Channel, TlsFiles
from din.p4rt.connection import Target
from din.p4rt.entry import Action, AnyKey, AnyValue, Key, State, action
from din.p4rt.fleet import Fleet
from din.testbed.testbed import CONTROLLER
from finsy.proto import p4r

from tests.din.controller.bed import (
    SECONDS,
    UDP_INTERVAL,
    UDP_PORT,
    Bed,
    States,
    changed_keys,
    differences,
    with_tls,
)

Seen = dict[str, Any]

ASSIST_IPV6 = (', "2001:db8:100::2"]', "]")
CHAT_IPV6 = (', "2001:db8:100::1"]', "]")


def settle(bed: Bed) -> States:
    """What switches have, once that does not change any more."""
    bed.testbed.wait_settled()
    last: States = {}

    def still() -> bool:
        nonlocal last
        before, last = last, bed.read()
        return not differences(before, last)

    bed.until(still)
    return last


def restart(bed: Bed, kill: bool) -> Seen:
    """Of the controller. How what switches had while and after it is not what they had before."""
    before = settle(bed)
    drained = [each.name for each in bed.testbed.client.status().instances if each.drained]
    began = time.monotonic()
    with bed.watched() as readings:
        bed.testbed.stop_controller(kill=kill)
        stopped = time.monotonic()
        bed.testbed.start_controller()
        bed.testbed.wait_settled()
        settled = time.monotonic()
        # Some rounds of deciding, with all that it has measured by then.
        time.sleep(1.0)
    found = {each for reading in readings for each in differences(before, reading)}
    return {
        "window": (began, time.monotonic()),
        "readings": len(readings),
        "differences": sorted(found)[:20],
        "stopped": stopped - began,
        "settled": settled - began,
        "drained": (drained, [each.name for each in bed.testbed.client.status().instances if each.drained]),
    }


def restarts(bed: Bed) -> Seen:
    streams = bed.streams(4, 430)

    # Buckets of an instance that is drained move until no connection can be older than the drain, and
    # what is measured of the other one moves none.
    name = streams.said[0]["instance"]
    threading.Thread(target=drain, args=(bed, name)).start()
    bed.until(lambda: bed.instance(name).drained)
    moving = settle(bed)
    seen: Seen = {"name": name, "terminated": restart(bed, kill=False), "killed": restart(bed, kill=True)}
    seen["moving"] = sum(
        dict(each.params)["current"] != dict(each.params)["previous"] for each in buckets(moving["leaf-1"])
    )
    seen["streams"] = [each for each in streams.done() if each["what"] == "ended"]
    bed.testbed.client.undrain(name)
    hold_shares(bed)
    return seen


def drain(bed: Bed, name: str) -> None:
    """Until it is done, or undrained, or the controller ends."""
    with contextlib.suppress(NotRunningError), Client(bed.state / CONTROLLER) as client:
        list(client.drain(DrainRequest(instance=name)))


def hold_shares(bed: Bed) -> None:
    """From here on they stay as they are unless something happens."""
    if "instances: equal" not in bed.text:
        bed.text = bed.edited(("paths: shortest", "paths: shortest, instances: equal")).text
    bed.testbed.client.apply(ApplyRequest(model=bed.model_text))
    client = bed.testbed.client
    bed.until(lambda: {each.share for each in client.explain("chat", "leaf-1")[0].choices} == {0.5})


def buckets(state: State) -> list[Action]:
    return [
        value
        for key, value in state.items()
        if isinstance(key, Key) and key.table == "buckets" and isinstance(value, Action)
    ]


# ---- revisions ---------------------------------------------------------------------------------------------


def edits(bed: Bed) -> Seen:
    """One service changes, and changes back."""
    client = bed.testbed.client
    before, chat = settle(bed), numbers_of(bed, "chat")
    applied = client.apply(ApplyRequest(model=bed.edited(ASSIST_IPV6)))
    after = bed.read()
    back = client.rollback(RollbackRequest())
    restored = bed.read()
    return {
        "changed": sorted(differences(before, after)),
        "of_chat": [
            show(key)
            for switch in before
            for key in changed_keys(before[switch], after[switch])
            if concerns(chat, key)
        ],
        "said": sum(each.inserted + each.modified + each.deleted for each in applied.changes.tables),
        "seconds": applied.seconds,
        "restored": differences(before, restored),
        "revisions": (applied.revision, back.revision, client.status().revision),
        **membership(bed, before),
    }


def membership(bed: Bed, before: States) -> Seen:
    """An instance leaves its service, and comes back."""
    line = next(each for each in bed.text.splitlines() if "name: chat-2" in each)
    number = numbers(bed)["instance"]["chat-2"]
    left = bed.post("apply", ApplyRequest(model=bed.edited((line, ""))))
    without = bed.read()
    back = bed.post("rollback", RollbackRequest())
    return {
        "left": (left[0], left[1].get("error", "")),
        "buckets_left": sum(
            number in (dict(entry.params)["current"], dict(entry.params)["previous"])
            for entry in buckets(without["leaf-1"])
        ),
        "back": (back[0], back[1].get("error", "")),
        "after_back": differences(without_buckets(before), without_buckets(bed.read())),
    }


def numbers(bed: Bed) -> dict[str, dict[str, int]]:
    """Of names, by kind."""
    found: dict[str, dict[str, int]] = json.loads((bed.state / "controller/ids.json").read_text())["numbers"]
    return found


def numbers_of(bed: Bed, service: str) -> dict[str, set[int]]:
    """Those that a service's entries have."""
    known = numbers(bed)
    return {
        "service": {known["service"][service]},
        "group": {number for name, number in known["group"].items() if name.startswith(service)},
        "instance": {known["instance"][each.name] for each in bed.testbed.model.instances_of(service)},
    }


def concerns(of: dict[str, set[int]], key: AnyKey) -> bool:
    """Whether an entry has one of these numbers."""
    return isinstance(key, Key) and any(value in of.get(name, ()) for name, value in key.match)


def refusals(bed: Bed) -> Seen:
    """What is not done, and what is done once it is said to be meant."""
    before, chat = settle(bed), numbers_of(bed, "chat")
    revisions = len(bed.testbed.client.revisions())
    wrong = bed.edited(("host: server-3, variant: llama-8b", "host: server-9, variant: llama-9b"))
    line = 1 + bed.text[: bed.text.index("host: server-3, variant")].count("\n")
    seen: Seen = {"wrong": bed.post("apply", ApplyRequest(model=wrong)), "line": line}
    seen["not_yaml"] = bed.post("apply", ApplyRequest(model=ModelText(text="a: [", file=str(bed.file))))
    much = bed.without("chat")
    seen["mass"] = bed.post("apply", ApplyRequest(model=much))
    seen["dry"] = bed.post("apply", ApplyRequest(model=much, dry_run=True))
    seen["unknown"] = bed.post("rollback", RollbackRequest(revision=999))
    seen["touched"] = differences(before, bed.read())
    seen["revisions"] = (revisions, len(bed.testbed.client.revisions()))
    seen["meant"] = bed.post("apply", ApplyRequest(model=much, yes=True))
    seen["left"] = [show(key) for state in bed.read().values() for key in state if concerns(chat, key)][:5]
    seen["back"] = bed.post("rollback", RollbackRequest())
    # A service that went and came begins with buckets that do not move.
    seen["restored"] = differences(without_buckets(before), without_buckets(bed.read()))
    return seen


def races(bed: Bed) -> Seen:
    """Two revisions at the same time, many times."""
    texts = [bed.edited(ASSIST_IPV6), bed.edited(CHAT_IPV6)]
    alone = []
    for text in texts:
        bed.testbed.client.apply(ApplyRequest(model=text))
        alone.append(bed.read())
    rounds = []
    for _ in range(3):
        threads = [threading.Thread(target=bed.post, args=("apply", ApplyRequest(model=t))) for t in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        number = bed.testbed.client.status().revision
        (found,) = (bed.state / "controller/revisions").glob(f"{number:06}.json")
        last = [text.text for text in texts].index(json.loads(found.read_text())["text"])
        rounds.append({"last": last, "mixed": differences(alone[last], bed.read())})
    bed.testbed.client.apply(ApplyRequest(model=bed.model_text))
    return {"differ": len(differences(*alone)), "rounds": rounds}


# ---- instances ---------------------------------------------------------------------------------------------


def reached(said: list[Seen], since: float = 0.0) -> set[str]:
    return {each["instance"] for each in said if each["at"] > since and each["instance"]}


def dies(bed: Bed, number: signal.Signals, back: Callable[[], None]) -> Seen:
    """chat-2 gets a signal, and is brought back."""
    connections = bed.connections()
    connections.wait(lambda said: reached(said) >= {"chat-1", "chat-2"})
    held = bed.talk("client", "hold", "10.100.0.1", "8000", "12")
    held.wait(bool)
    server = bed.testbed.servers["chat-2"]
    server.stopping = True
    at = time.monotonic()
    os.kill(server.pid, number)
    known = bed.until(lambda: bed.instance("chat-2").alive is False)
    reason = bed.instance("chat-2").reason
    time.sleep(1.0)
    held.line()
    seen: Seen = {"at": at, "known": known, "reason": reason, "held": held.done()[1:]}
    back()
    returned = time.monotonic()
    bed.until(lambda: bed.instance("chat-2").alive)
    seen["alive_again"] = time.monotonic() - returned
    connections.wait(lambda said: "chat-2" in reached(said, returned))
    seen["reached_again"] = time.monotonic() - returned
    seen["connections"] = [each for each in connections.end() if each["at"] < returned]
    return seen


def deaths(bed: Bed) -> Seen:
    server = bed.testbed.servers["chat-2"]
    hung = dies(bed, signal.SIGSTOP, lambda: os.kill(server.pid, signal.SIGCONT))
    killed = dies(bed, signal.SIGKILL, lambda: void(bed.testbed.start_server("chat-2")))
    return {"hung": hung, "killed": killed}


def no_management(bed: Bed) -> Seen:
    """The network of probes is gone for a while. Meanwhile a server dies."""
    ports = [each.name for each in Path("/sys/class/net/management/brif").iterdir()]

    def set_ports(state: str) -> None:
        lines = "\n".join(f"link set {port} {state}" for port in ports)
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)

    def watched() -> list[bool]:
        return ["management network" not in each.reason for each in bed.testbed.client.status().instances]

    def alive() -> list[bool | None]:
        return [each.alive for each in bed.testbed.client.status().instances]

    before, streams, connections = settle(bed), bed.streams(4, 150), bed.connections()
    began = time.monotonic()
    set_ports("down")
    seen: Seen = {"told": bed.until(lambda: not any(watched())), "alive": []}
    while time.monotonic() < began + 2.5:
        seen["alive"].append(alive())
        time.sleep(0.1)
    seen["metrics"] = bed.testbed.client.metrics()
    seen["streams"] = [each for each in streams.done() if each["what"] == "ended"]
    seen["differences"] = differences(without_buckets(before), without_buckets(bed.read()))
    died = time.monotonic()
    server = bed.testbed.servers["chat-2"]
    server.stopping = True
    os.kill(server.pid, signal.SIGKILL)
    seen["out"] = bed.until(lambda: bed.instance("chat-2").alive is False)
    seen["reason"] = bed.instance("chat-2").reason
    time.sleep(0.5)
    seen["connections"] = [{**each, "at": each["at"] - died} for each in connections.end()]
    bed.testbed.start_server("chat-2")
    set_ports("up")
    back = time.monotonic()
    bed.until(lambda: all(watched()) and all(alive()))
    seen["back"] = time.monotonic() - back
    return seen


def void(_: object) -> None:
    """For what is called for its effect."""


def drains(bed: Bed) -> Seen:
    client = bed.testbed.client
    settle(bed)
    streams, connections = bed.streams(6, 110), bed.connections()
    name = streams.said[0]["instance"]
    began = time.monotonic()
    progress = [each.model_dump() for each in client.drain(DrainRequest(instance=name, deadline=15))]
    drained = time.monotonic()
    client.undrain(name)
    connections.wait(lambda said: name in reached(said, drained))
    seen: Seen = {
        "name": name,
        "began": began,
        "drained": drained,
        "progress": progress,
        "streams": [each for each in streams.done() if each["what"] == "ended"],
        "connections": connections.end(),
        "reached_again": time.monotonic() - drained,
    }
    streams = bed.streams(6, 1000)
    name = streams.said[0]["instance"]
    on_it = sum(each["instance"] == name for each in streams.said)
    late = [each.model_dump() for each in client.drain(DrainRequest(instance=name, deadline=2))]
    cut = time.monotonic()
    streams.wait(lambda said: sum(each["what"] == "ended" for each in said) >= on_it)
    seen["deadline"] = {
        "name": name,
        "on_it": on_it,
        "cut": cut,
        "progress": late,
        "ended": [each for each in streams.said if each["what"] == "ended"],
    }
    streams.end()
    client.undrain(name)
    seen["last"] = bed.post("drain", DrainRequest(instance="assist-1"))
    seen["nobody"] = bed.post("drain", DrainRequest(instance="chat-9"))
    seen["drained_after"] = [each.name for each in client.status().instances if each.drained]
    return seen


# ---- network -----------------------------------------------------------------------------------------------


def link_fails(bed: Bed) -> Seen:
    """The better of two ways, under streams."""
    before = settle(bed)
    streams = bed.streams(6, 220)
    readings: list[tuple[float, States]] = []
    down = time.monotonic()
    bed.testbed.emulation.set_link("leaf-1", "core-1", False)
    while time.monotonic() < down + 1.5:
        states = bed.read()
        readings.append((time.monotonic(), states))
    up = time.monotonic()
    bed.testbed.emulation.set_link("leaf-1", "core-1", True)
    last = without_buckets(readings[-1][1])
    programmed = next(at for at, states in readings if not differences(without_buckets(states), last)) - down
    ended = [each for each in streams.done() if each["what"] == "ended"]
    bed.until(lambda: all(each.up for each in bed.testbed.client.status().links))
    return {
        "down": down,
        "up": up,
        "readings": len(readings),
        "programmed": programmed,
        "changed": len(differences(without_buckets(before), last)),
        "streams": ended,
    }


def no_way(bed: Bed) -> Seen:
    """Both ways are gone for a moment."""
    before = settle(bed)
    streams = bed.streams(4, 110)
    for up in (False, True):
        for core in ("core-1", "core-2"):
            bed.testbed.emulation.set_link("leaf-1", core, up)
        if not up:
            time.sleep(1.0)
            bed.until(lambda: bed.testbed.client.explain("chat", "leaf-1")[0].choices == [])
    ended = [each for each in streams.done() if each["what"] == "ended"]
    bed.until(lambda: all(each.up for each in bed.testbed.client.status().links))
    after = settle(bed)
    # What was wholly with one instance is so again, unless shares have moved it by then.
    return {
        "streams": ended,
        "buckets": [
            show(key)
            for key, value in before["leaf-1"].items()
            if isinstance(key, Key) and key.table == "buckets" and isinstance(value, Action)
            if previous(value) != previous(after["leaf-1"][key])
        ],
    }


def full_link(bed: Bed) -> Seen:
    """More than both ways carry, before all but the controller's own."""
    event = Event.model_validate(
        {
            "kind": EventKind.CONGESTED_LINK,
            "source": "client",
            "sink": "server-1",
            "rate": "50Mbit",
            "traffic_class": TrafficClassName.SCHEDULED,
        }
    )
    processes = bed.testbed.emulation.congest(event)
    down: set[str] = set()
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        down |= {f"{each.src}-{each.dst}" for each in bed.testbed.client.status().links if not each.up}
        time.sleep(0.1)
    for process in processes:
        process.stop()
    return {"down": sorted(down)}


def previous(value: AnyValue) -> int:
    """Where a bucket's connections are that nothing remembers."""
    assert isinstance(value, Action)
    return int(dict(value.params)["previous"])


def without_buckets(states: States) -> States:
    """What shares of new connections move is left out."""
    return {
        name: {
            key: value
            for key, value in state.items()
            if not (isinstance(key, Key) and key.table == "buckets")
        }
        for name, state in states.items()
    }


def switch_dies(bed: Bed) -> Seen:
    """leaf-2, where all servers are: it comes back empty. Meanwhile something is changed."""
    client, emulation = bed.testbed.client, bed.testbed.emulation
    before = settle(bed)
    emulation.stop_switch("leaf-2")
    died = time.monotonic()
    bed.until(lambda: not bed.switch("leaf-2").connected)
    elsewhere, asking = changed_elsewhere(bed)
    asking.join()
    unreachable = client.diff(bed.model_text).unreachable
    client.rollback(RollbackRequest())
    emulation.start_switch("leaf-2")
    started = time.monotonic()
    bed.until(lambda: bed.switch("leaf-2").primary and not bed.switch("leaf-2").pending)
    refilled = time.monotonic() - started
    connections = bed.connections()
    connections.wait(lambda said: reached(said, started))
    served = time.monotonic() - started
    connections.end()
    bed.until(lambda: all(each.up for each in client.status().links))
    return {
        "died": died,
        "started": started,
        "unreachable": unreachable,
        "elsewhere": elsewhere,
        "refilled": refilled,
        "served": served,
        "served_at": started + served,
        "differences": differences(without_buckets(before), without_buckets(settle(bed))),
    }


def changed_elsewhere(bed: Bed) -> tuple[float, threading.Thread]:
    """Assist loses an address, which both leaves are told: how long leaf-1 took, and who still asks."""
    request = ApplyRequest(model=bed.edited(ASSIST_IPV6))
    asking = threading.Thread(target=bed.post, args=("apply", request))
    began = time.monotonic()
    asking.start()
    bed.until(lambda: not any(of_assist(key) for key in bed.read("leaf-1")["leaf-1"]))
    return time.monotonic() - began, asking


def of_assist(key: AnyKey) -> bool:
    """Whether an entry is of assist's IPv6 address as a service."""
    return isinstance(key, Key) and ("dst_addr", int(IPv6Address("2001:db8:100::2"))) in key.match


def switch_hangs(bed: Bed) -> Seen:
    """leaf-2 is stopped, and its connections stay."""
    settle(bed)
    process = bed.testbed.emulation.node("leaf-2").process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        others, asking = changed_elsewhere(bed)
        # Who asked still waits; the loop does not, nor whoever asks next.
        began, waits = time.monotonic(), asking.is_alive()
        draining = threading.Thread(target=drain, args=(bed, "chat-1"))
        draining.start()
        number = numbers(bed)["instance"]["chat-1"]

        def moved() -> bool:
            return not any(
                dict(each.params)["current"] == number for each in buckets(bed.read("leaf-1")["leaf-1"])
            )

        bed.until(moved)
        steered = time.monotonic() - began
        began = time.monotonic()
        next_one = threading.Thread(
            target=bed.post, args=("apply", ApplyRequest(model=bed.edited(CHAT_IPV6)))
        )
        next_one.start()
        bed.until(lambda: any(of_assist(key) for key in bed.read("leaf-1")["leaf-1"]))
        applied = time.monotonic() - began
    finally:
        os.kill(process.pid, signal.SIGCONT)
    bed.testbed.client.undrain("chat-1")
    for thread in (asking, draining, next_one):
        thread.join()
    bed.testbed.client.apply(ApplyRequest(model=bed.model_text))
    return {"others": others, "waits": waits, "steered": steered, "applied": applied}


# ---- who may write -----------------------------------------------------------------------------------------


def another_controller(bed: Bed) -> Seen:
    """Of a higher term. It leaves again."""
    hold_shares(bed)
    before = settle(bed)
    client = bed.testbed.client
    seen: Seen = {}
    moves = exchanged(before["leaf-1"])

    async def take_over() -> None:
        addresses = bed.testbed.emulation.addresses
        targets = [Target(name, address, 1, bed.tls) for name, address in addresses.items()]
        began = time.monotonic()
        async with Fleet(targets, term=1000) as fleet:
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*(each.connection.primary() for each in fleet.switches.values()))
                seen["taken"] = time.monotonic() - began
                await asyncio.to_thread(bed.until, lambda: client.status().role == "backup")
            seen["errors"] = [each.error for each in client.status().switches]
            answer = await asyncio.to_thread(bed.post, "apply", ApplyRequest(model=bed.edited(ASSIST_IPV6)))
            seen["apply"] = answer
            seen["written"] = differences(before, await asyncio.to_thread(bed.read))
            await asyncio.to_thread(bed.post, "apply", ApplyRequest(model=bed.model_text))
            await fleet["leaf-1"].set({**before["leaf-1"], **moves})
        seen["left"] = time.monotonic()

    asyncio.run(take_over())
    bed.until(lambda: client.status().role == "primary")
    seen["regained"] = time.monotonic() - seen["left"]
    after = settle(bed)
    seen["differences"] = differences(without_buckets(before), without_buckets(after))
    seen["moves"] = len(moves)
    seen["undone"] = [show(key) for key, value in moves.items() if after["leaf-1"][key] != value]
    return seen


def exchanged(state: State) -> State:
    """Two buckets of a group that change their instances, as a move begins or is given up: shares stay."""
    by_current: dict[int, dict[int, AnyKey]] = {}
    for key, value in state.items():
        if isinstance(key, Key) and key.table == "buckets" and isinstance(value, Action):
            group = dict(key.match)["group"]
            assert isinstance(group, int)
            by_current.setdefault(group, {})[dict(value.params)["current"]] = key
    one, other = next([*each.items()][:2] for each in by_current.values() if len(each) > 1)

    def moved(key: AnyKey, current: int) -> Action:
        before = previous(state[key])
        return action("set_bucket", current=current, previous=before, state=int(current != before))

    return {one[1]: moved(one[1], other[0]), other[1]: moved(other[1], one[0])}


def intruders(bed: Bed) -> Seen:
    """Who has no certificate is not let in."""

    async def read(tls: TlsFiles | None) -> str:
        channel = Channel(bed.testbed.emulation.addresses["leaf-1"], tls)
        try:
            async with asyncio.timeout(5):
                await channel.open()
                await channel.request(p4r.CapabilitiesRequest())
        except Exception as error:
            return repr(error)
        finally:
            await channel.close()
        return "answered"

    async def read_both() -> list[str]:
        return [await read(None), await read(bed.tls)]

    return {"tls": bed.tls is not None, "answers": asyncio.run(read_both())}


SCENARIOS: list[Callable[[Bed], Seen]] = [
    intruders,
    restarts,
    edits,
    refusals,
    races,
    deaths,
    no_management,
    drains,
    link_fails,
    no_way,
    full_link,
    switch_dies,
    switch_hangs,
    another_controller,
]


def main(model: str, state: str, result: str, *names: str) -> None:
    folder = Path(state)
    file = folder / "model.yaml"
    file.write_text(with_tls(Path(model).read_text(), folder))
    bed = Bed(file, folder)
    seen: Seen = {}
    with bed.testbed:
        began = time.monotonic()
        bed.testbed.start(lambda what, done, total: None)
        seen["up"] = time.monotonic() - began
        receiver = bed.talk("server-1", "receive", str(UDP_PORT))
        receiver.wait(bool)
        sender = bed.talk("client", "send", "10.2.0.11", str(UDP_PORT), str(UDP_INTERVAL))
        for scenario in SCENARIOS:
            if names and scenario.__name__ not in names:
                continue
            began = time.monotonic()
            try:
                seen[scenario.__name__] = scenario(bed)
            except Exception:
                seen[scenario.__name__] = {"failed": traceback.format_exc()}
            print(scenario.__name__, round(time.monotonic() - began, 1), "s", file=sys.stderr)
        sent = sender.end()[-1]
        received = {number: (at, came) for number, at, came in receiver.end()[-1]["received"]}
        seen["lost"] = [
            sent["began"] + number * sent["interval"]
            for number in range(sent["sent"])
            if number not in received
        ]
        seen["sent"] = sent["sent"]
    Path(result).write_text(json.dumps(seen, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
