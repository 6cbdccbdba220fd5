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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

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


@dataclass(frozen=True)
class _Key:
    id: int
    master: bytes
    classes: frozenset[TrafficClassName]


@dataclass(frozen=True)
class Keyring:
    """Numbers of names, and tenants' keys by the tenants' numbers. Master keys are in memory from the start:
    files may be readable only then.
    """

    _keys: Mapping[int, Sequence[_Key]] = field(repr=False)
    tenants: Mapping[str, int] = field(default_factory=dict)
    services: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=lambda: {PUBLIC: 0})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Keyring:
        """ModelError: what is wrong with the file. ValueError: a key is not where it says."""
        return cls.build(read_file(path, KeyringFile), Path(path).parent)

    @classmethod
    def build(cls, contents: KeyringFile, base: str | os.PathLike[str]) -> Keyring:
        """Files of keys are relative to ``base``. ValueError: a key is not where ``contents`` says."""
        keys = {
            tenant.id: [_Key(key.id, resolve_key(key, base), frozenset(key.classes)) for key in tenant.keys]
            for tenant in contents.tenants
        }
        tenants = {each.name: each.id for each in contents.tenants}
        return cls(keys, tenants, contents.services, {PUBLIC: 0, **contents.labels})

    @classmethod
    def of(cls, tenant: int, key_id: int, master: bytes, classes: Iterable[TrafficClassName]) -> Keyring:
        """One tenant's one key, without a file. Names have no numbers then. ValueError: that is no key."""
        epoch_key(master, key_id, 0)
        return cls({tenant: [_Key(key_id, master, frozenset(classes))]})

    def resolve(self, claim: Claim) -> Option:
        """ClaimError: a name is not known."""
        return Option(
            _number("tenant", claim.tenant, self.tenants),
            _number("service", claim.service, self.services),
            _number("label", claim.label, self.labels),
            claim.traffic_class,
            claim.deadline,
            claim.cookie,
        )

    def key(self, tenant: int, traffic_class: TrafficClassName) -> SigningKey:
        """Of now: the first of the tenant's keys that may claim the class. ClaimError: none may."""
        if tenant not in self._keys:
            raise ClaimError(f"no key of tenant {tenant} is known")
        for key in self._keys[tenant]:
            if traffic_class in key.classes:
                epoch = epoch_number(time.time())
                return SigningKey(key.id, epoch, epoch_key(key.master, key.id, epoch))
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
