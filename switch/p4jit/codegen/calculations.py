# SPDX-License-Identifier: Apache-2.0
"""Hashes and checksums: a calculation's input as bytes, and the algorithm over it."""

from __future__ import annotations

from p4jit.codegen.expressions import Expressions
from p4jit.codegen.phv import Phv, scalar_type, varbit_bytes
from p4jit.codegen.values import U64, constant
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError

#: bmv2's names of the algorithms in runtime/hash.h.
ALGORITHMS = frozenset(
    [
        "crc16",
        "crc32",
        "crcCCITT",
        "crc8_custom",
        "crc16_custom",
        "crc32_custom",
        "crc64_custom",
        "xxh64",
        "csum16",
        "cksum16",
        "xor16",
        "xor32",
        "identity",
    ]
)


class Calculations:
    def __init__(self, phv: Phv, out: Writer) -> None:
        self._phv = phv
        self._out = out

    def declare(self, calculations: list[ir.Calculation]) -> None:
        for c in calculations:
            self._function(c)

    def call(self, c: ir.Calculation) -> str:
        return f"calculation_{c.index}(pkt, phv)"

    def _function(self, c: ir.Calculation) -> None:
        if c.algorithm not in ALGORITHMS:
            raise ProgramError(
                "$.calculations", f"hash algorithm '{c.algorithm}' of '{c.name}' is not supported"
            )
        out = self._out
        payload = any(isinstance(e, ir.Payload) for e in c.inputs)
        room = sum(self._max_bits(e) for e in c.inputs) // 8 + len(c.inputs) + 8
        with out.block(f"static uint64_t calculation_{c.index}(const p4_packet *pkt, phv_t *phv)"):
            out.line(f"uint8_t bytes[{room}{' + P4_FRAME_BYTES' if payload else ''}];")
            out.line("p4_bits b = {bytes, 0, sizeof bytes};")
            for e in c.inputs:
                self._input(e)
            out.line(f"return p4_hash_{c.algorithm}(bytes, (b.bits + 7) / 8);")
        out.line()

    @staticmethod
    def _max_bits(e: ir.Expr) -> int:
        match e:
            case ir.FieldRef(field=f, header=h):
                assert h is not None
                return varbit_bytes(h.type) * 8 if f.varbit else f.width
            case ir.HeaderRef(header=h):
                return h.type.max_bytes * 8
            case ir.SizedConst(width=w):
                return w
        return 0

    def _input(self, e: ir.Expr) -> None:
        out = self._out
        match e:
            case ir.FieldRef(header=h):
                assert h is not None
                self._if_valid(h, [f for f in h.type.fields if f is e.field])
            case ir.HeaderRef(header=h):
                self._if_valid(h, h.type.fields)
            case ir.SizedConst():
                put_constant(out, e)
            case ir.Payload():
                out.line("p4_bits_put_bytes(&b, pkt->data + pkt->payload, pkt->length - pkt->payload);")
            case _:
                raise AssertionError(f"not a calculation input: {type(e).__name__}")

    def _if_valid(self, h: ir.Header, fields: list[ir.Field]) -> None:
        place = self._phv.header(h)
        lines = [put_field(self._phv, place.storage, f) for f in fields]
        if place.valid == "true":
            self._out.lines(*lines)
            return
        with self._out.block(f"if ({place.valid})"):
            self._out.lines(*lines)

    # ---- checksums ---------------------------------------------------------------------------------------

    def checksums(self, checksums: list[ir.Checksum]) -> None:
        out = self._out
        if any(c.verify for c in checksums):
            self._verify([c for c in checksums if c.verify])
        with out.block("static void update_checksums(p4_context *ctx, p4_packet *pkt, phv_t *phv)"):
            for c in checksums:
                if c.update:
                    ex = Expressions(self._phv, out)
                    condition = ex.boolean(c.condition) if c.condition is not None else "true"
                    with out.block(f"if ({condition})"):
                        value = out.temporary()
                        out.line(f"const uint64_t {value} = {self.call(c.calculation)};")
                        self._phv.store_code(ex, c.target, value)
        out.line()

    def _verify(self, checksums: list[ir.Checksum]) -> None:
        out = self._out
        with out.block("static bool checksums_hold(p4_context *ctx, p4_packet *pkt, phv_t *phv)"):
            out.line("bool hold = true;")
            for c in checksums:
                ex = Expressions(self._phv, out)
                assert c.target.header is not None
                condition = self._phv.header(c.target.header).valid
                if c.condition is not None:
                    condition += f" && {ex.boolean(c.condition)}"
                with out.block(f"if ({condition})"):
                    field = ex.cast(ex.data(c.target), U64)
                    out.line(f"hold &= {self.call(c.calculation)} == {field};")
            out.line("return hold;")
        out.line()


def put_field(phv: Phv, storage: str, f: ir.Field) -> str:
    """A statement that appends a field to the bit string ``b``."""
    code = f"{storage}.{phv.field_name(f)}"
    if f.varbit:
        return f"p4_bits_put_bytes(&b, {code}.bytes, {code}.bits / 8);"
    scalar = scalar_type(f.width)
    function = {"p4_u128": "p4_bits_put128", None: "p4_bits_put_limbs"}.get(scalar, "p4_bits_put")
    return f"{function}(&b, {f.width}, {code});"


def put_constant(out: Writer, e: ir.SizedConst) -> None:
    """Append a constant to the bit string ``b``."""
    if e.width <= 64:
        out.line(f"p4_bits_put(&b, {e.width}, {constant(e.value & ((1 << e.width) - 1), U64)});")
        return
    count = -(-e.width // 64)
    name = out.temporary("w")
    limbs = ", ".join(constant(e.value >> 64 * i, U64) for i in range(count))
    out.line(f"const uint64_t {name}[{count}] = {{{limbs}}};")
    out.line(f"p4_bits_put_limbs(&b, {e.width}, {name});")
