# SPDX-License-Identifier: Apache-2.0
"""A cable between two interfaces: a device that sends out of one port what came in by the other."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from p4jit.codegen.layout import Layout
from p4jit.frontend import ir
from p4jit.target.build import CompiledProgram
from p4jit.target.compiler import program_library
from p4jit.target.device import Device
from p4jit.target.interface import LinkSpec, PortSpec, PortStatus, QueueSpec

_SOURCE = """
#include "program.h"

static void nothing(p4_context *ctx, p4_packet *pkt) {}

static void ingress(p4_context *ctx, p4_packet *pkt) {
  (void)ctx;
  pkt->payload = 0;
  pkt->multicast_group = 0;
  pkt->priority = 0;
  pkt->egress_spec = pkt->ingress_port ^ 1;
}

static void egress(p4_context *ctx, p4_packet *pkt) {
  pkt->egress_spec = ctx->drop_port + 1;
}

static void copy_fields(uint32_t list, void *to, const void *of) { (void)list, (void)to, (void)of; }
static void reset_metadata(void *phv) { (void)phv; }
static uint32_t priority(const void *phv) { (void)phv; return 0; }
static uint32_t digest(uint32_t list, const void *phv, uint8_t *out, uint32_t room) {
  (void)list, (void)phv, (void)out, (void)room;
  return 0;
}

P4_EXPORT const p4_program p4jit_program = {
  .abi_version = P4_ABI_VERSION,
  .phv_bytes = 64,
  .parse = nothing,
  .ingress = ingress,
  .reparse = nothing,
  .egress = egress,
  .deparse = nothing,
  .copy_fields = copy_fields,
  .reset_metadata = reset_metadata,
  .priority = priority,
  .digest = digest,
};
"""


class Wire:
    """Frames between interfaces ``a`` and ``b``, over an emulated link each way. Raises DeviceError when an
    interface cannot be opened, BuildError without a C compiler."""

    def __init__(self, a: str, b: str, a_to_b: LinkSpec, b_to_a: LinkSpec) -> None:
        program = _program()
        self.device = Device(queues=1)
        try:
            self.device.load(program)
            # A port's link is on its way out: what leaves by port 1 came from a.
            for number, name, link in ((0, a, b_to_a), (1, b, a_to_b)):
                queue = QueueSpec(depth_packets=link.limit)
                self.device.port_add(number, PortSpec("interface", name, link=link, queues=(queue,)))
        except BaseException:
            self.device.close()
            raise

    def start(self) -> None:
        self.device.start()

    def ports(self) -> list[PortStatus]:
        return self.device.ports()

    def close(self) -> None:
        self.device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _program() -> CompiledProgram:
    nothing = ir.Pipeline("none", None, [], [])
    program = ir.Program(
        name="wire",
        headers=[],
        stacks=[],
        unions=[],
        union_stacks=[],
        errors={},
        enums={},
        parser=ir.Parser("none", None, []),
        deparser=[],
        ingress=nothing,
        egress=nothing,
        actions=[],
        tables=[],
        profiles=[],
        calculations=[],
        checksums=[],
        counters=[],
        meters=[],
        registers=[],
        value_sets=[],
        learn_lists=[],
        field_lists={},
        standard_fields={},
        messages=[],
    )
    return CompiledProgram("wire", program, Layout(program), _SOURCE, program_library(_SOURCE), b"", None)
