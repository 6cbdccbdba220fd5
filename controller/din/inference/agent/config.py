# SPDX-License-Identifier: Apache-2.0
"""The agent's file: a keyring, and who may claim what of it.

version: 1
tenants:
  - name: acme
    id: 7
    keys: [{id: 1, source: "file:acme.key", classes: [scheduled]}]
services: {chat: 4}
labels: {confidential: 2}
permits:
  - {users: [vllm, 1000], groups: [clinic], tenant: acme, labels: [public, confidential]}
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from din.inference.marking.keyring import Keyring, KeyringFile, read_file
from din.model.base import Name, Record
from din.model.ids import PUBLIC
from din.model.problem import ModelError, Problem, nearest
from din.model.service import TrafficClassName

#: Of a user or group.
Account = Annotated[int, Field(strict=True, ge=0)] | str


class PermitFile(Record):
    """Users of a group are those that have it as any of theirs."""

    users: tuple[Account, ...] = ()
    groups: tuple[Account, ...] = ()
    tenant: Name
    labels: tuple[Name, ...] = (PUBLIC,)
    classes: tuple[TrafficClassName, ...] = (TrafficClassName.BEST_EFFORT, TrafficClassName.SCHEDULED)
    services: tuple[Name, ...] | None = None  # None: any


class AgentFile(KeyringFile):
    permits: list[PermitFile] = Field(min_length=1)


@dataclass(frozen=True)
class Permit:
    """In numbers. ``services`` None: any."""

    users: frozenset[int]
    groups: frozenset[int]
    tenant: int
    labels: frozenset[int]
    classes: frozenset[TrafficClassName]
    services: frozenset[int] | None


@dataclass(frozen=True)
class Config:
    keyring: Keyring
    permits: tuple[Permit, ...]


def load(path: str | os.PathLike[str]) -> Config:
    """ModelError: what is wrong with the file. ValueError: a key is not where it says."""
    contents = read_file(path, AgentFile)
    keyring = Keyring.build(contents, Path(path).parent)
    permits = [
        _permit(each, keyring, ("permits", index), os.fspath(path))
        for index, each in enumerate(contents.permits)
    ]
    return Config(keyring, tuple(permits))


def _permit(permit: PermitFile, keyring: Keyring, at: tuple[str | int, ...], file: str) -> Permit:
    def wrong(field: str, message: str, hint: str) -> ModelError:
        return ModelError([Problem((*at, field) if field else at, message, hint, file=file)])

    def number(field: str, name: str, known: Mapping[str, int]) -> int:
        if name not in known:
            raise wrong(field, f"{name} is not known", nearest(name, known))
        return known[name]

    def account(field: str, name: int | str, find: Callable[[str], int]) -> int:
        try:
            return name if isinstance(name, int) else find(name)
        except KeyError:
            raise wrong(field, f"this host has no {name}", "a name that it has, or a number") from None

    if not permit.users and not permit.groups:
        raise wrong("", "permits nobody", "name users or groups")
    services = permit.services
    return Permit(
        users=frozenset(account("users", each, _user) for each in permit.users),
        groups=frozenset(account("groups", each, _group) for each in permit.groups),
        tenant=number("tenant", permit.tenant, keyring.tenants),
        labels=frozenset(number("labels", each, keyring.labels) for each in permit.labels),
        classes=frozenset(permit.classes),
        services=None
        if services is None
        else frozenset(number("services", each, keyring.services) for each in services),
    )


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid
