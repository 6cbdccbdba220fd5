# SPDX-License-Identifier: Apache-2.0
"""Keyrings: their files, their names, their keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from din.inference.marking import Claim, Keyring
from din.inference.marking.claim import ClaimError
from din.inference.marking.keyring import from_environment
from din.model.keys import EPOCH_SECONDS, epoch_key
from din.model.problem import ModelError
from din.model.service import TrafficClassName

MASTER = bytes(range(16))
SCHEDULED, TRAINING = TrafficClassName.SCHEDULED, TrafficClassName.TRAINING
TEXT = """\
version: 1
tenants:
  - name: acme
    id: 7
    keys:
      - {id: 1, source: "env:DIN_TEST_MASTER", classes: [scheduled]}
      - {id: 2, source: "file:acme.key", classes: [scheduled, training]}
services: {chat: 4}
labels: {confidential: 2}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIN_TEST_MASTER", MASTER.hex())
    (tmp_path / "acme.key").write_text(bytes(16).hex())
    (tmp_path / "keyring.yaml").write_text(TEXT)
    return tmp_path / "keyring.yaml"


def test_names_have_numbers(file: Path) -> None:
    option = Keyring.load(file).resolve(Claim(tenant="acme", service="chat", label="confidential"))
    assert (option.tenant, option.service, option.label) == (7, 4, 2)
    option = Keyring.load(file).resolve(Claim(tenant=9, service=5, label="public"))
    assert (option.tenant, option.service, option.label) == (9, 5, 0)


@pytest.mark.parametrize(("claim", "why"), [
    (Claim(tenant="acm", service=0), "no tenant acm is known: did you mean acme?"),
    (Claim(tenant=7, service="chit"), "no service chit is known: did you mean chat?"),
    (Claim(tenant=7, service=0, label="secret"), "no label secret is known"),
])  # fmt: skip
def test_names_that_are_not_known(file: Path, claim: Claim, why: str) -> None:
    with pytest.raises(ClaimError, match=why.replace("?", r"\?")):
        Keyring.load(file).resolve(claim)


def test_the_first_key_that_may_signs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring.load(file)
    monkeypatch.setattr("time.time", lambda: 300.5 * EPOCH_SECONDS)
    key = keyring.key(7, SCHEDULED)
    assert (key.id, key.epoch, key.secret) == (1, 300, epoch_key(MASTER, 1, 300))
    key = keyring.key(7, TRAINING)
    assert (key.id, key.secret) == (2, epoch_key(bytes(16), 2, 300))
    with pytest.raises(ClaimError, match="no key of tenant 7 may claim the class kv-transfer"):
        keyring.key(7, TrafficClassName.KV_TRANSFER)
    with pytest.raises(ClaimError, match="no key of tenant 8 is known"):
        keyring.key(8, SCHEDULED)


@pytest.mark.parametrize(("old", "new", "why"), [
    ("id: 7", "id: 70000", r"keyring\.yaml:4: tenants\[0\]\.id: "),
    ("    keys:", "    keyes:", r"tenants\[0\]\.keyes: unknown field; did you mean keys\?"),
    ("services:", "servics:", r"servics: unknown field; did you mean services\?"),
    ("version: 1", "version: 2", r"version: "),
    ("env:DIN_TEST_MASTER", "env:DIN_NO_SUCH", "DIN_NO_SUCH is not set"),
    ("file:acme.key", "file:other.key", r"other\.key: No such file"),
    ("{chat: 4}", "{chat: 70000}", r"services\.chat: "),
    ("version: 1", "- version", "YAML|not"),
])  # fmt: skip
def test_a_wrong_file_says_where(file: Path, old: str, new: str, why: str) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ValueError, match=why):
        Keyring.load(file)


def test_an_empty_file(file: Path) -> None:
    file.write_text("")
    with pytest.raises(ModelError, match=r"keyring\.yaml:1: "):
        Keyring.load(file)


def test_the_environment_names_it(file: Path) -> None:
    assert from_environment({}) is None
    keyring = from_environment({"DIN_KEYRING": str(file)})
    assert keyring is not None
    assert keyring.resolve(Claim(tenant="acme", service=0)).tenant == 7
    assert from_environment({"DIN_KEYRING": str(file)}) is keyring, "it is read once"
    with pytest.raises(ModelError, match="No such file"):
        from_environment({"DIN_KEYRING": "/nowhere"})


def test_a_key_of_the_wrong_size() -> None:
    with pytest.raises(ValueError, match="a master key has 16 bytes"):
        Keyring.of(7, 1, bytes(8), [SCHEDULED])
