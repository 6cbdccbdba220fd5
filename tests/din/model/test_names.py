# SPDX-License-Identifier: Apache-2.0
"""Services' names, for /etc/hosts and for DNS."""

from __future__ import annotations

import re

import pytest
from din.model.names import hosts_file, zone_file

from tests.din.model.edits import model


def test_hosts_file() -> None:
    lines = hosts_file(model()).splitlines()
    assert lines[0].startswith("#")
    assert [line.split() for line in lines[1:3]] == [
        ["10.100.0.1", "chat.din.example"],
        ["2001:db8:100::1", "chat.din.example"],
    ]
    assert len(lines) == 7


def records(zone: str) -> dict[tuple[str, str], list[str]]:
    """Of a master file without parentheses, quotes and classes other than IN (RFC 1035, 5.1)."""
    found: dict[tuple[str, str], list[str]] = {}
    lines = [line.partition(";")[0].rstrip() for line in zone.splitlines()]
    for line in filter(None, lines):
        if not line.startswith("$"):
            match = re.fullmatch(r"(\S+)\tIN\t(SOA|NS|A|AAAA)\t(.+)", line)
            assert match, line
            found.setdefault((match[1], match[2]), []).append(match[3])
    return found


def test_zone_file() -> None:
    zone = zone_file(model(), "din.example.")
    assert zone.splitlines()[1:3] == ["$ORIGIN din.example.", "$TTL 300"]
    found = records(zone)
    # RFC 1035, 5.2: one SOA, and it comes first.
    assert next(iter(found)) == ("@", "SOA")
    assert re.fullmatch(r"localhost\. root\.localhost\. \d{1,10} 3600 600 86400 300", *found["@", "SOA"])
    assert found["@", "NS"] == ["localhost."]
    assert found["chat", "A"] == ["10.100.0.1"]
    assert found["records", "AAAA"] == ["2001:db8:100::3"]
    assert len(found) == 8


def test_a_zone_has_the_names_within_it_alone() -> None:
    other = model(
        {
            "services[0].dns": "chat.elsewhere.example",
            "services[1].dns": "din.example",
            "services[2].dns": "xdin.example",
        }
    )
    assert set(records(zone_file(other, "DIN.example"))) == {
        ("@", "SOA"),
        ("@", "NS"),
        ("@", "A"),
        ("@", "AAAA"),
    }
    assert ("din", "A") in records(zone_file(other, "example"))


def test_the_serial_is_of_the_content() -> None:
    def serial(*edits: dict[str, object]) -> int:
        return int(records(zone_file(model(*edits), "din.example"))["@", "SOA"][0].split()[2])

    assert serial() == serial() == serial({"services[0].port": 9000})
    assert serial() != serial({"services[0].addresses": ["10.100.0.9"]})
    assert 0 <= serial() < 1 << 32


@pytest.mark.parametrize(
    "origin", ["", ".", "a..b", "-a.example", "a b", "x" * 64, ".".join(["x" * 50] * 6), "a\n$INCLUDE b"]
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="is not a DNS name"):
        zone_file(model(), origin)
