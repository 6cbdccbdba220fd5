# SPDX-License-Identifier: Apache-2.0
"""What a tenant's hosts know: numbers of names, and keys.

    version: 1
    tenants:
      - name: acme
        id: 7
        keys:
          - {id: 1, source: "file:acme.key", classes: [scheduled]}
    services: {chat: 4}
    labels: {confidential: 2}

Numbers are the controller's; keys are as in its model (`din.model.service.Key`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from din.model import invalid
from din.model.base import Name, Record
from din.model.ids import PUBLIC
from din.model.keys import epoch_key, epoch_number
from din.model.load import read, resolve_key
from din.model.problem import ModelError, Problem, nearest
from din.model.service import Key, TrafficClassName

from .claim import Byte, Claim, ClaimError, Option, SigningKey, Word

#: Where the file is, if nobody says.
ENVIRONMENT: Final = "DIN_KEYRING"

_File = TypeVar("_File", bound="KeyringFile")


class KeyringTenant(Record):
    name: Name
    id: Annotated[Word, Field(ge=1)]
    keys: list[Key] = Field(min_length=1)


class KeyringFile(Record):
    version: Literal[1]
    tenants: list[KeyringTenant] = Field(min_length=1)
    services: dict[Name, Word] = Field(default_factory=dict)
    labels: dict[Name, Byte] = Field(default_factory=dict)


def read_file(path: str | os.PathLike[str], schema: type[_File]) -> _File:
    """ModelError: what is wrong with the file, with lines."""
    source = read(path)
    if not isinstance(source.data, dict):
        raise ModelError([Problem((), "empty", "it begins with version: 1", file=source.file, line=1)])
    try:
        return schema.model_validate(source.data)
    except ValidationError as error:
        raise ModelError(invalid.problems(error, source, schema)) from None


class Keyring:
    """Master keys are in memory from the beginning: files may be readable only then."""

    def __init__(self, contents: KeyringFile, base: str | os.PathLike[str] = ".") -> None:
        """ValueError: a key is not where ``contents`` says. Files are relative to ``base``."""
        self._tenants = {each.name: each.id for each in contents.tenants}
        self._services = contents.services
        self._labels = {PUBLIC: 0, **contents.labels}
        self._keys = {
            each.id: [(key, resolve_key(key, base)) for key in each.keys] for each in contents.tenants
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """ModelError: what is wrong with the file. ValueError: a key is not where it says."""
        return cls(read_file(path, KeyringFile), Path(path).parent)

    @classmethod
    def of(cls, tenant: int, key_id: int, master: bytes, classes: Iterable[TrafficClassName]) -> Self:
        """One tenant's one key, without a file. Names have no numbers then."""
        ring = cls.__new__(cls)
        ring._tenants, ring._services, ring._labels = {}, {}, {PUBLIC: 0}
        epoch_key(master, key_id, 0)  # refuses what is no key
        key = Key(id=key_id, source="env:none", classes=list(classes))
        ring._keys = {tenant: [(key, master)]}
        return ring

    def resolve(self, claim: Claim) -> Option:
        """ClaimError: a name is not known."""
        return Option(
            _number("tenant", claim.tenant, self._tenants),
            _number("service", claim.service, self._services),
            _number("label", claim.label, self._labels),
            claim.traffic_class,
            claim.deadline,
            claim.cookie,
        )

    def key(self, tenant: int, traffic_class: TrafficClassName) -> SigningKey:
        """Of now: the first of the tenant's keys that may claim the class. ClaimError: none may."""
        for key, master in self._keys.get(tenant, ()):
            if traffic_class in key.classes:
                epoch = epoch_number(time.time())
                return SigningKey(key.id, epoch, epoch_key(master, key.id, epoch))
        if tenant not in self._keys:
            raise ClaimError(f"no key of tenant {tenant} is known")
        raise ClaimError(f"no key of tenant {tenant} may claim the class {traffic_class}")


def _number(kind: str, name: str | int, known: Mapping[str, int]) -> int:
    if isinstance(name, int):
        return name
    if name not in known:
        raise ClaimError(f"no {kind} {name} is known: {nearest(name, known)}")
    return known[name]


@lru_cache
def _load(path: str) -> Keyring:
    return Keyring.load(path)


def from_environment(environment: Mapping[str, str] = os.environ) -> Keyring | None:
    """The keyring that DIN_KEYRING names, read once. None: it names none. Raises as `Keyring.load`."""
    path = environment.get(ENVIRONMENT)
    return _load(path) if path else None
