# SPDX-License-Identifier: Apache-2.0
"""The short way of decoding (`templates`) does exactly what the careful way does."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4i, p4r
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.p4runtime.schema import Schema
from p4jit.p4runtime.state import ForwardingState
from p4jit.p4runtime.write import write_batch

from tests.p4jit.p4runtime.client import update
from tests.p4jit.p4runtime.fake_device import FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.test_write import device_state


@pytest.fixture(scope="module")
def schema(p4info: p4i.P4Info, program_json: bytes) -> Schema:
    return Schema(p4info, fake_compile(program_json, p4info))


class Careful:
    """Templates that are never learned."""

    def find(self, number: int, length: int) -> None:
        return None

    def learn(self, wire: bytes, store: Any) -> None:
        pass


def fresh(schema: Schema, careful: bool) -> tuple[ForwardingState, FakeDevice]:
    device = FakeDevice()
    device.load(schema.program)
    state = ForwardingState(schema, device)
    if careful:
        state.templates = Careful()  # type: ignore[assignment]
    return state, device


def raw(width: int) -> st.SearchStrategy[bytes]:
    """Values of about ``width`` bits: in and out of range, canonical and not."""
    top = (1 << width) - 1
    number = st.one_of(st.integers(0, top), st.integers(0, 3), st.integers(top - 1, top + 2))
    shortest = number.map(lambda n: n.to_bytes((n.bit_length() + 7) // 8 or 1, "big"))
    return st.one_of(shortest, shortest, shortest, shortest.map(lambda b: b"\0" + b), st.just(b""))


def updates_of(names: Names) -> st.SearchStrategy[p4r.Update]:
    forward = st.builds(lambda p: names.action("forward", p), raw(9))
    rewrite = st.builds(lambda *v: names.action("rewrite", *v), raw(48), raw(9), raw(128))
    prefix = st.sampled_from([1, 8, 24, 31, 32])
    long_prefix = st.sampled_from([1, 63, 64, 65, 127, 128])

    def masked(value: bytes, width: int, length: int, clean: bool) -> tuple[bytes, int]:
        number = int.from_bytes(value, "big")
        if clean:
            number &= ~((1 << (width - length)) - 1)
        return number.to_bytes(max(len(value), 1), "big"), length

    def filtered(
        src: bytes,
        mask: bytes,
        clean: bool,
        dst: bytes,
        proto: bytes | None,
        priority: int,
        action: p4r.Action,
    ) -> p4r.TableEntry:
        if clean:
            inside = int.from_bytes(src, "big") & int.from_bytes(mask, "big")
            src = inside.to_bytes((inside.bit_length() + 7) // 8 or 1, "big")
        match: dict[str, Any] = {"src": (src, mask), "nibble": 3, "dst": (10 << 24, 8)}
        if dst:
            match["dst"] = masked(dst, 32, 24, True)
        if proto is not None:
            match["proto"] = proto
        return names.entry("filters", match, action, priority=priority)

    priority = st.one_of(
        st.integers(0, 300),
        st.integers(1 << 13, 1 << 15),
        st.integers((1 << 28) - 2, (1 << 31) - 1),
        st.sampled_from([-1, -(1 << 31)]),
    )
    clean = st.sampled_from([True, True, True, False])
    four_bytes = st.integers(1 << 24, (1 << 32) - 1).map(lambda n: n.to_bytes(4, "big"))
    filter_values = (raw(32), raw(32), clean, raw(32), st.none() | raw(8))
    alike = (four_bytes, four_bytes, clean, st.just(b""), st.just(b"\x06"))
    entries = st.one_of(
        st.builds(filtered, *filter_values, priority, forward | rewrite),
        # Often of one length, or no template would be of use.
        st.builds(filtered, *alike, st.integers(0, 127), st.builds(names.action, st.just("forward"), raw(7))),
        st.builds(lambda d, a: names.entry("l2", {"dst": d}, a), raw(48), forward | rewrite),
        st.builds(
            lambda s, n, v, a: names.entry("pairs", {"src": s, "nibble": n, "valid": v}, a),
            raw(48),
            raw(4),
            raw(1),
            forward | rewrite,
        ),
        st.builds(
            lambda f, d, n, c, a: names.entry(
                "routes", {"flag": f, "dst": masked(d, 32, n, c)}, names.action("metered", a)
            ),
            raw(1),
            raw(32),
            prefix,
            st.booleans(),
            raw(9),
        ),
        st.builds(
            lambda d, n, c, a: names.entry("wide_routes", {"wide": masked(d, 128, n, c)}, a),
            raw(128),
            long_prefix,
            st.booleans(),
            forward,
        ),
    )
    extra: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [{}, {}, {}, {"metadata": b"m"}, {"priority": 1}, {"idle_timeout_ns": 5}, {"is_const": True}]
    )

    def build(kind: str, entry: p4r.TableEntry, fields: dict[str, Any]) -> p4r.Update:
        for name, value in fields.items():
            setattr(entry, name, value)
        return update(kind, table_entry=entry)

    return st.builds(build, st.sampled_from(["INSERT", "INSERT", "MODIFY", "DELETE"]), entries, extra)


def test_templates_change_nothing(schema: Schema, names: Names) -> None:
    short, device = fresh(schema, careful=False)
    hits = masked_hits = 0

    @settings(max_examples=400)
    @given(st.lists(updates_of(names), min_size=1, max_size=30), st.sampled_from([0, 1]))
    def check(updates: list[p4r.Update], atomicity: int) -> None:
        nonlocal hits, masked_hits
        careful, other = fresh(schema, careful=True)
        # The same templates serve every example: what one has taught must hold for the next.
        device.load(schema.program)
        learned = short.templates
        learned._lessons = 0
        short.__init__(schema, device)  # type: ignore[misc]
        short.templates = learned
        for template in (t for alike in learned._by_length.values() for t in alike):
            template.store = short.tables[template.store.schema.id]
        wires = [u.SerializeToString() for u in updates]
        found = [t for w in wires if (t := learned.find(int.from_bytes(w, "big"), len(w))) is not None]
        hits += len(found)
        masked_hits += sum(t.base_mask is not None for t in found)
        one = write_batch(short, [p4r.Update.FromString(w) for w in wires], atomicity)
        two = write_batch(careful, updates, atomicity)
        assert [e and e.code for e in one or ()] == [e and e.code for e in two or ()]
        assert device_state(device) == device_state(other)
        everything = p4r.Entity(table_entry=p4r.TableEntry())
        assert sorted(short.read(everything)) == sorted(careful.read(everything))

    check()
    assert hits > 30
    assert masked_hits > 10, masked_hits


def test_bulk_updates_take_the_short_way(schema: Schema, names: Names) -> None:
    state, device = fresh(schema, careful=False)

    def entries(n: int) -> list[p4r.TableEntry]:
        forward = names.action("forward", 1 + n % 200)
        return [
            names.entry("l2", {"dst": 0x0A0000000000 + n}, forward),
            names.entry("pairs", {"src": 0x0A0000000000 + n, "nibble": 3, "valid": 1}, forward),
            names.entry(
                "routes", {"flag": 1, "dst": ((10 << 24) + (n << 8), 24)}, names.action("metered", 7)
            ),
            names.entry("wide_routes", {"wide": ((0x20010DB8 << 96) + (n << 64), 64)}, forward),
            names.entry(
                "filters",
                {"src": ((10 << 24) + (n << 8), 0xFFFFFF00 - (n << 12)), "proto": 6 + n, "nibble": 2},
                forward,
                priority=1000 + n,
            ),
            names.entry("filters", {"dst": ((10 << 24), 8), "nibble": 2}, forward, priority=1 + n),
        ]

    for kind in ("INSERT", "MODIFY", "DELETE"):
        write_batch(state, [update(kind, table_entry=e) for e in entries(0)], 0)
        batch = [update(kind, table_entry=e) for n in range(1, 5) for e in entries(n)]
        for each in batch:
            wire = each.SerializeToString()
            assert state.templates.find(int.from_bytes(wire, "big"), len(wire)) is not None, each
        assert write_batch(state, batch, 0) is None
    assert not any(t.entries for t in device.tables if t.max_size not in (2, 3))
