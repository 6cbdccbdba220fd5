# SPDX-License-Identifier: Apache-2.0
"""Byte strings: big-endian integers as P4Runtime carries them, and values of translated types.

P4Runtime 1.4.1, sections "Bytestrings" and "User-defined types". Written values may have leading zeros;
values read are the shortest string. A string without bytes, or beyond the width, is OUT_OF_RANGE.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4jit.p4runtime.status import P4Error, invalid, out_of_range


def decode_unsigned(value: bytes, width: int) -> int:
    """``bit<width>``. Raises P4Error (OUT_OF_RANGE)."""
    if not value:
        raise out_of_range("an empty byte string is no value")
    number = int.from_bytes(value, "big")
    if number >> width:
        raise out_of_range(f"{number:#x} does not fit in bit<{width}>")
    return number


def decode_signed(value: bytes, width: int) -> int:
    """``int<width>``, two's complement. Raises P4Error (OUT_OF_RANGE)."""
    if not value:
        raise out_of_range("an empty byte string is no value")
    number = int.from_bytes(value, "big", signed=True)
    if not -(1 << (width - 1)) <= number < 1 << (width - 1):
        raise out_of_range(f"{number} does not fit in int<{width}>")
    return number


def encode_unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def encode_signed(number: int) -> bytes:
    bits = (number if number >= 0 else ~number).bit_length() + 1
    return number.to_bytes((bits + 7) // 8, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of one match field, parameter or metadata field are written.

    ``width`` is the data plane's, in bits. A type translated to ``bit<W>`` keeps its number, which must fit
    the data plane's width. A type translated to ``string`` is the number in decimal digits ("17").
    """

    width: int
    text: bool = False

    def decode(self, value: bytes) -> int:
        """Raises P4Error."""
        if not self.text:
            return decode_unsigned(value, self.width)
        # A bit<512> has 155 digits; int() of unbounded text would be quadratic.
        if not value.isdigit() or len(value) > self.width or (value[:1] == b"0" and len(value) > 1):
            raise invalid(
                f"{value[:40]!r} is no value of a type translated to string: write the data plane's number "
                'in decimal, as in "17"'
            )
        number = int(value)
        if number >> self.width:
            raise out_of_range(f"{number} does not fit in bit<{self.width}>")
        return number

    def encode(self, number: int) -> bytes:
        return str(number).encode() if self.text else encode_unsigned(number)


#: The reserved SDN port numbers, P4Runtime 1.4.1, "Translation of Port Numbers".
SDN_PORT_CPU = 0xFFFFFFFD
#: v1model ports are 9 bits.
PORT_WIDTH = 9


def decode_port(value: bytes, cpu_port: int | None) -> int:
    """A data plane port from an SDN port: the same number, or SDN_PORT_CPU for the CPU port.

    Raises P4Error (INVALID_ARGUMENT), as for any port that is not one of the device's.
    """
    try:
        number = decode_unsigned(value, 32)
    except P4Error as error:
        raise invalid(f"port: {error.message}") from None
    if number == SDN_PORT_CPU and cpu_port is not None:
        return cpu_port
    if number >> PORT_WIDTH:
        raise invalid(f"port {number:#x} is not a port of this device: v1model ports are {PORT_WIDTH} bits")
    return number
