# SPDX-License-Identifier: Apache-2.0
"""One function a header type to read it from the wire, and one to write it.

Neighbouring fields that together fill whole bytes, up to eight, are read and written as one integer.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4jit.codegen.layout import storage_bytes
from p4jit.codegen.phv import Phv, scalar_type
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError


@dataclass(slots=True)
class _Group:
    """Fields that start and end on byte boundaries; ``offset`` is in bits."""

    offset: int
    fields: list[ir.Field]
    bits: int = 0

    @property
    def whole(self) -> bool:
        """Can it go through one 64-bit integer?"""
        return self.offset % 8 == 0 and self.bits % 8 == 0 and self.bits <= 64


def _groups(fields: list[ir.Field], offset: int = 0) -> list[_Group]:
    """Fewest bytes first: a group closes at the first byte boundary."""
    groups: list[_Group] = []
    for f in fields:
        if not groups or (groups[-1].offset + groups[-1].bits) % 8 == 0:
            groups.append(_Group(offset, []))
        groups[-1].fields.append(f)
        groups[-1].bits += f.width
        offset += f.width
    return groups


def _split(t: ir.HeaderType) -> tuple[list[ir.Field], ir.Field | None, list[ir.Field]]:
    """The fields before the varbit, the varbit, and those after it."""
    varbit = t.varbit
    if varbit is None:
        return t.fields, None, []
    at = t.fields.index(varbit)
    head, tail = t.fields[:at], t.fields[at + 1 :]
    if sum(f.width for f in head) % 8:
        raise ProgramError(
            "$.header_types", f"header '{t.name}': its varbit does not start on a byte boundary"
        )
    return head, varbit, tail


class Headers:
    def __init__(self, phv: Phv, out: Writer) -> None:
        self._phv = phv
        self._out = out

    def declare(self, types: list[ir.HeaderType]) -> None:
        for t in types:
            self._extract(t)
            self._emit(t)

    def _extract(self, t: ir.HeaderType) -> None:
        """``extract_T(header, bytes, varbit bits)``: the caller has checked that the bytes are there."""
        head, varbit, tail = _split(t)
        name = self._phv.type_name(t)
        extra = ", uint32_t bits" if varbit else ""
        with self._out.block(f"P4_INLINE void extract_{name}({name} *h, const uint8_t *p{extra})"):
            self._load_groups(_groups(head))
            if varbit:
                member = f"h->{self._phv.field_name(varbit)}"
                start = sum(f.width for f in head) // 8
                self._out.line(f"{member}.bits = bits;")
                self._out.line(f"memcpy({member}.bytes, p + {start}, bits / 8);")
                if tail:
                    self._out.line(f"p += {start} + bits / 8;")
                    self._load_groups(_groups(tail))
        self._out.line()

    def _load_groups(self, groups: list[_Group]) -> None:
        for g in groups:
            if not g.whole:
                offset = g.offset
                for f in g.fields:
                    self._load_bits(f, offset)
                    offset += f.width
            elif len(g.fields) == 1:
                f = g.fields[0]
                value = self._narrow(f, f"p4_load(p + {g.offset // 8}, {g.bits // 8})")
                self._out.line(f"h->{self._phv.field_name(f)} = {value};")
            else:
                word = self._out.temporary("g")
                self._out.line(f"const uint64_t {word} = p4_load(p + {g.offset // 8}, {g.bits // 8});")
                shift = g.bits
                for f in g.fields:
                    shift -= f.width
                    part = f"{word} >> {shift}" if shift else word
                    if shift + f.width < g.bits:
                        part = (
                            f"({part}) & {(1 << f.width) - 1:#x}"
                            if shift
                            else f"{part} & {(1 << f.width) - 1:#x}"
                        )
                    self._out.line(f"h->{self._phv.field_name(f)} = {self._narrow(f, f'({part})')};")

    @staticmethod
    def _narrow(f: ir.Field, code: str) -> str:
        scalar = scalar_type(f.width)
        assert scalar is not None
        return code if scalar == "uint64_t" else f"({scalar}){code}"

    def _load_bits(self, f: ir.Field, offset: int) -> None:
        member = f"h->{self._phv.field_name(f)}"
        scalar = scalar_type(f.width)
        if scalar is None:
            self._out.line(f"p4_load_limbs(p, {offset}, {f.width}, {member});")
        elif scalar == "p4_u128":
            if f.width == 128 and offset % 8 == 0:
                at = offset // 8
                self._out.line(f"{member} = (p4_u128)p4_load(p + {at}, 8) << 64 | p4_load(p + {at + 8}, 8);")
            else:
                self._out.line(f"{member} = p4_load_bits128(p, {offset}, {f.width});")
        else:
            self._out.line(f"{member} = {self._narrow(f, f'p4_load_bits(p, {offset}, {f.width})')};")

    def _emit(self, t: ir.HeaderType) -> None:
        """``emit_T(bytes, header)`` writes the header and returns where the next one goes."""
        head, varbit, tail = _split(t)
        name = self._phv.type_name(t)
        with self._out.block(f"P4_INLINE uint8_t *emit_{name}(uint8_t *p, const {name} *h)"):
            self._store_groups(_groups(head))
            size = sum(f.width for f in head) // 8
            if varbit:
                member = f"h->{self._phv.field_name(varbit)}"
                self._out.line(f"memcpy(p + {size}, {member}.bytes, {member}.bits / 8);")
                self._out.line(f"p += {size} + {member}.bits / 8;")
                self._store_groups(_groups(tail))
                size = sum(f.width for f in tail) // 8
            self._out.line(f"return p + {size};")
        self._out.line()

    def _store_groups(self, groups: list[_Group]) -> None:
        for g in groups:
            if g.whole:
                shift = g.bits
                parts = []
                for f in g.fields:
                    shift -= f.width
                    code = f"h->{self._phv.field_name(f)}"
                    if storage_bytes(f.width) < 8:
                        code = f"(uint64_t){code}"
                    parts.append(f"{code} << {shift}" if shift else code)
                self._out.line(f"p4_store(p + {g.offset // 8}, {g.bits // 8}, {' | '.join(parts)});")
                continue
            if len(g.fields) == 1 and g.bits == 128:
                member = f"h->{self._phv.field_name(g.fields[0])}"
                at = g.offset // 8
                self._out.line(f"p4_store(p + {at}, 8, (uint64_t)({member} >> 64));")
                self._out.line(f"p4_store(p + {at + 8}, 8, (uint64_t){member});")
                continue
            self._out.line(f"memset(p + {g.offset // 8}, 0, {-(-g.bits // 8)});")
            offset = g.offset
            for f in g.fields:
                member = f"h->{self._phv.field_name(f)}"
                scalar = scalar_type(f.width)
                put = {"p4_u128": "p4_put_bits128", None: "p4_put_limbs"}.get(scalar, "p4_put_bits")
                self._out.line(f"{put}(p, {offset}, {f.width}, {member});")
                offset += f.width

    # ---- the deparser ------------------------------------------------------------------------------------

    def size(self, h: ir.Header) -> str:
        """Bytes the header takes on the wire."""
        fixed = sum(f.width for f in h.type.fields if not f.varbit) // 8
        varbit = h.type.varbit
        if varbit is None:
            return str(fixed)
        return f"({fixed} + {self._phv.header(h).storage}.{self._phv.field_name(varbit)}.bits / 8)"

    def deparser(self, order: list[ir.Header]) -> None:
        """``deparse`` puts the valid headers in front of the payload. The runtime's headroom is at least the
        sum of the headers' sizes, so they always fit."""
        out = self._out
        with out.block("static void deparse(p4_context *ctx, p4_packet *pkt)"):
            out.line("phv_t *const phv = pkt->phv;")
            out.line("update_checksums(ctx, pkt, phv);")
            out.line("uint32_t size = 0;")
            for h in order:
                out.line(f"size += {self._phv.header(h).valid} ? {self.size(h)} : 0;")
            out.line("uint8_t *const start = pkt->data + pkt->payload - size;")
            out.line("uint8_t *p = start;")
            for h in order:
                place = self._phv.header(h)
                name = self._phv.type_name(h.type)
                out.line(f"if ({place.valid}) p = emit_{name}(p, &{place.storage});")
            out.line("pkt->capacity += (uint32_t)(pkt->data - start);")
            out.line("pkt->length = pkt->length - pkt->payload + size;")
            out.line("pkt->data = start;")
            out.line("pkt->payload = size;")
            out.line("if (pkt->length > pkt->truncate_to) pkt->length = pkt->truncate_to;")
        out.line()
