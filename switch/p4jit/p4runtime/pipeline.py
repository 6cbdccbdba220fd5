# SPDX-License-Identifier: Apache-2.0
"""Forwarding pipelines of one device: verified, saved, committed, reconciled (P4Runtime 1.4.1,
"SetForwardingPipelineConfig RPC")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finsy.proto import p4i, p4r
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from p4jit.frontend.errors import ProgramError
from p4jit.p4runtime.schema import Schema, SchemaError
from p4jit.p4runtime.staging import StagedDevice
from p4jit.p4runtime.state import ForwardingState
from p4jit.p4runtime.status import P4Error, as_p4_error, invalid, not_found
from p4jit.target.compiler import BuildError
from p4jit.target.interface import DeviceError, DeviceInterface

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

#: Compiles p4c's bmv2 JSON. Raises ProgramError or BuildError.
Compile = Callable[[bytes, p4i.P4Info], "CompiledProgram"]

#: p4.tmp.P4DeviceConfig.device_data
_DEVICE_DATA_FIELD = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """A configuration that this device can run."""

    config: p4r.ForwardingPipelineConfig
    schema: Schema


@dataclass(frozen=True, slots=True)
class Installed:
    """A configuration, and the entities written under it."""

    config: p4r.ForwardingPipelineConfig
    state: ForwardingState


def bmv2_json(data: bytes) -> bytes:
    """The JSON in a p4_device_config: as it is, or in the p4.tmp.P4DeviceConfig that older clients send."""
    if data.lstrip()[:1] == b"{":
        return data
    try:
        fields = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return data
    for position in range(len(fields)):
        if fields[position].field_number == _DEVICE_DATA_FIELD and isinstance(fields[position].data, bytes):
            return bytes(fields[position].data)
    return data


def verify(config: p4r.ForwardingPipelineConfig, compile_program: Compile) -> Verified:
    """Compile ``config``, which may take seconds and changes nothing. Raises P4Error (INVALID_ARGUMENT)."""
    if not config.p4_device_config:
        raise invalid("p4_device_config is empty: it takes the JSON that p4c writes for bmv2")
    try:
        program = compile_program(bmv2_json(config.p4_device_config), config.p4info)
        return Verified(config, Schema(config.p4info, program))
    except (ProgramError, BuildError) as error:
        raise invalid(f"the program is refused: {error}") from None
    except SchemaError as error:
        raise invalid(f"the P4Info is not the program's: {error}") from None


class Pipeline:
    """What one device runs, and what is saved to run next. For one thread at a time."""

    def __init__(self, device: DeviceInterface) -> None:
        self._device = device
        self._committed: Installed | None = None
        self._saved: Installed | None = None

    @property
    def active(self) -> Installed | None:
        """What Read and Write are about: the saved configuration, once there is one."""
        return self._saved or self._committed

    @property
    def running(self) -> Installed | None:
        """What the device runs."""
        return self._committed

    def save(self, verified: Verified) -> None:
        """VERIFY_AND_SAVE: updates from now on are kept for the commit."""
        self._saved = Installed(verified.config, self._staged(verified.schema))

    def commit_saved(self) -> None:
        """COMMIT. Raises P4Error (NOT_FOUND; what the device refused)."""
        saved, old = self._saved, self._committed
        if saved is None:
            raise not_found("no configuration is saved: VERIFY_AND_SAVE one first")
        before = None if old is None else self._copy(old.state)
        with self._device.frozen():
            if old is not None and before is not None:
                before.refresh(old.state)
            self._install(Verified(saved.config, saved.state.schema), saved.state, before)
        self._saved = None

    def commit(self, verified: Verified) -> None:
        """VERIFY_AND_COMMIT: with no entries but the program's own. Raises P4Error."""
        self._install(verified, None, None)
        self._saved = None

    def reconcile(self, verified: Verified) -> None:
        """RECONCILE_AND_COMMIT. Raises P4Error (INVALID_ARGUMENT) for a configuration that cannot keep all
        that was written."""
        old = self._committed
        if old is None:
            self.commit(verified)
            return
        try:
            self._staged(verified.schema).adopt(old.state)
        except (P4Error, DeviceError) as error:
            raise invalid(f"the present forwarding state cannot be kept: {error}") from None
        before = self._copy(old.state)
        with self._device.frozen():
            before.refresh(old.state)
            self._install(verified, before, before)
        self._saved = None

    def recookie(self, config: p4r.ForwardingPipelineConfig) -> bool:
        """RECONCILE_AND_COMMIT of what already runs: True, and only the cookie changes."""
        old = self._committed
        if (
            old is None
            or old.config.p4_device_config != config.p4_device_config
            or old.config.p4info != config.p4info
        ):
            return False
        self._committed = Installed(config, old.state)
        self._saved = None
        return True

    def _staged(self, schema: Schema) -> ForwardingState:
        device = StagedDevice(self._device.device_id, self._device.cpu_port, self._device.ports())
        device.load(schema.program)
        return ForwardingState(schema, device)

    def _copy(self, state: ForwardingState) -> ForwardingState:
        """The state, apart from the device: which forgets its cells when it loads a program. Made while
        packets still flow, so that they stop for a short time only."""
        copy = self._staged(state.schema)
        copy.adopt(state)
        return copy

    def _install(
        self, verified: Verified, entities: ForwardingState | None, before: ForwardingState | None
    ) -> None:
        """Load a program and write ``entities``; if they are refused, load what ran, with ``before``."""
        old = self._committed
        try:
            self._device.load(verified.schema.program)
        except Exception as error:
            raise as_p4_error(error, "loading a pipeline") from error
        try:
            state = ForwardingState(verified.schema, self._device)
            if entities is not None:
                state.adopt(entities)
            self._committed = Installed(verified.config, state)
        except Exception as error:
            if old is not None and before is not None:
                self._device.load(old.state.schema.program)
                state = ForwardingState(old.state.schema, self._device)
                state.adopt(before)
                self._committed = Installed(old.config, state)
            raise as_p4_error(error, "writing the entries of a pipeline") from error

    def describe(self, response_type: int) -> p4r.GetForwardingPipelineConfigResponse:
        """The answer to GetForwardingPipelineConfig. Raises P4Error (INVALID_ARGUMENT)."""
        parts = _RESPONSE_PARTS.get(response_type)
        if parts is None:
            raise invalid(f"response_type {response_type} is not one of ResponseType")
        response = p4r.GetForwardingPipelineConfigResponse()
        if self.active is None:
            return response
        config = self.active.config
        # An answer without a field, as when no cookie was set, still says that there is a configuration.
        response.config.SetInParent()
        if config.HasField("cookie"):
            response.config.cookie.CopyFrom(config.cookie)
        if "p4info" in parts:
            response.config.p4info.CopyFrom(config.p4info)
        if "p4_device_config" in parts:
            response.config.p4_device_config = config.p4_device_config
        return response


_RESPONSE_PARTS: dict[int, frozenset[str]] = {
    p4r.GetForwardingPipelineConfigRequest.ALL: frozenset(("p4info", "p4_device_config")),
    p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY: frozenset(),
    p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE: frozenset(("p4info",)),
    p4r.GetForwardingPipelineConfigRequest.DEVICE_CONFIG_AND_COOKIE: frozenset(("p4_device_config",)),
}
