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
from collections.abc import Callable, Iterable
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
    permits = tuple(
        _permit(each, contents, ("permits", index), os.fspath(path))
        for index, each in enumerate(contents.permits)
    )
    return Config(Keyring(contents, Path(path).parent), permits)


def _permit(permit: PermitFile, contents: AgentFile, at: tuple[str | int, ...], file: str) -> Permit:
    def number(field: str, name: str, known: dict[str, int]) -> int:
        if name not in known:
            raise ModelError([Problem((*at, field), f"{name} is not known", nearest(name, known), file=file)])
        return known[name]

    def accounts(field: str, names: Iterable[int | str], find: Callable[[str], int]) -> frozenset[int]:
        found = set()
        for name in names:
            try:
                found.add(name if isinstance(name, int) else find(name))
            except KeyError:
                message, hint = f"this host has no {name}", "a name that it has, or a number"
                raise ModelError([Problem((*at, field), message, hint, file=file)]) from None
        return frozenset(found)

    if not permit.users and not permit.groups:
        raise ModelError([Problem(at, "permits nobody", "name users or groups", file=file)])
    tenants = {each.name: each.id for each in contents.tenants}
    labels = {PUBLIC: 0, **contents.labels}
    services = permit.services
    return Permit(
        users=accounts("users", permit.users, lambda name: pwd.getpwnam(name).pw_uid),
        groups=accounts("groups", permit.groups, lambda name: grp.getgrnam(name).gr_gid),
        tenant=number("tenant", permit.tenant, tenants),
        labels=frozenset(number("labels", each, labels) for each in permit.labels),
        classes=frozenset(permit.classes),
        services=None
        if services is None
        else frozenset(number("services", each, contents.services) for each in services),
    )
