# SPDX-License-Identifier: Apache-2.0
"""Hashes, checksums and random numbers against published values and against plain models."""

from __future__ import annotations

import binascii
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

MASK64 = 2**64 - 1


@pytest.fixture(scope="module")
def hashes() -> Iterator[Driver]:
    with driver("hash", "hash") as running:
        yield running


def digest(hashes: Driver, algorithm: str, data: bytes) -> int:
    return int(hashes.run([f"{algorithm} {data.hex()}"])[0])


CHECK = b"123456789"


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [  # "check" of the catalogue of parametrised CRC algorithms, by the names in hash.h
        ("crc16", 0xBB3D),
        ("crc16_custom", 0xBB3D),
        ("crc32", 0xCBF43926),
        ("crc32_custom", 0xCBF43926),
        ("crcCCITT", 0x29B1),
        ("crc8_custom", 0xF4),
    ],
)
def test_crc_check_values(hashes: Driver, algorithm: str, value: int) -> None:
    assert digest(hashes, algorithm, CHECK) == value


def test_internet_checksum_of_rfc1071(hashes: Driver) -> None:
    """Section 3: the sum of these bytes is ddf2."""
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert digest(hashes, "csum16", data) == 0xDDF2 ^ 0xFFFF
    assert digest(hashes, "csum16", data + bytes([0x22, 0x0D])) == 0, "the checksum in place sums to zero"


@pytest.mark.parametrize(
    ("data", "value"),
    [  # of the reference implementation, seed 0
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"The quick brown fox jumps over the lazy dog", 0x0B242D361FDA71BC),
    ],
)
def test_xxh64_reference_values(hashes: Driver, data: bytes, value: int) -> None:
    assert digest(hashes, "xxh64", data) == value


@pytest.mark.parametrize("hex_digits", ["", "7f", "80ff", "0102030405060708", "f102030405060708090a"])
def test_identity_is_the_first_eight_bytes(hashes: Driver, hex_digits: str) -> None:
    assert digest(hashes, "identity", bytes.fromhex(hex_digits)) == int(hex_digits[:16] or "0", 16)


def crc(data: bytes, width: int, polynomial: int, start: int, final: int, reflected: bool) -> int:
    """A bit at a time, as the definition has it."""
    register = start
    for byte in data:
        bits = [(byte >> i) & 1 for i in range(8)]
        for bit in bits if reflected else reversed(bits):
            carry = (register >> (width - 1)) ^ bit
            register = (register << 1) & ((1 << width) - 1)
            if carry:
                register ^= polynomial
    if reflected:
        register = int(f"{register:0{width}b}"[::-1], 2)
    return register ^ final


def internet_checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2]) for i in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def xor_words(data: bytes, size: int) -> int:
    result = 0
    for i in range(0, len(data), size):
        result ^= int.from_bytes(data[i : i + size].ljust(size, b"\0"))
    return result


def rotate(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & MASK64


def xxh64(data: bytes) -> int:
    p1, p2, p3, p4, p5 = (
        11400714785074694791,
        14029467366897019727,
        1609587929392839161,
        9650029242287828579,
        2870177450012600261,
    )

    def mix(accumulator: int, lane: int) -> int:
        return rotate((accumulator + lane * p2) & MASK64, 31) * p1 & MASK64

    def word(offset: int, size: int) -> int:
        return int.from_bytes(data[offset : offset + size], "little")

    position = 0
    result = p5
    if len(data) >= 32:
        lanes = [(p1 + p2) & MASK64, p2, 0, -p1 & MASK64]
        while len(data) - position >= 32:
            lanes = [mix(lane, word(position + 8 * i, 8)) for i, lane in enumerate(lanes)]
            position += 32
        result = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK64
        for lane in lanes:
            result = ((result ^ mix(0, lane)) * p1 + p4) & MASK64
    result = (result + len(data)) & MASK64
    while len(data) - position >= 8:
        result = (rotate(result ^ mix(0, word(position, 8)), 27) * p1 + p4) & MASK64
        position += 8
    if len(data) - position >= 4:
        result = (rotate(result ^ word(position, 4) * p1 & MASK64, 23) * p2 + p3) & MASK64
        position += 4
    for byte in data[position:]:
        result = rotate(result ^ byte * p5 & MASK64, 11) * p1 & MASK64
    result = (result ^ result >> 33) * p2 & MASK64
    result = (result ^ result >> 29) * p3 & MASK64
    return result ^ result >> 32


MODELS: dict[str, Callable[[bytes], int]] = {
    "crc16": lambda data: crc(data, 16, 0x8005, 0, 0, True),
    "crc16_custom": lambda data: crc(data, 16, 0x8005, 0, 0, True),
    "crc32": zlib.crc32,
    "crc32_custom": zlib.crc32,
    "crcCCITT": lambda data: binascii.crc_hqx(data, 0xFFFF),
    "crc8_custom": lambda data: crc(data, 8, 0x07, 0, 0, False),
    "crc64_custom": lambda data: crc(data, 64, 0x1B, 0, 0, True),
    "xxh64": xxh64,
    "csum16": internet_checksum,
    "cksum16": internet_checksum,
    "xor16": lambda data: xor_words(data, 2),
    "xor32": lambda data: xor_words(data, 4),
    "identity": lambda data: int.from_bytes(data[:8]),
}


@given(data=st.binary(max_size=300))
def test_every_algorithm_agrees_with_its_model(hashes: Driver, data: bytes) -> None:
    answers = hashes.run(f"{name} {data.hex()}" for name in MODELS)
    assert dict(zip(MODELS, map(int, answers), strict=True)) == {
        n: model(data) for n, model in MODELS.items()
    }


@pytest.mark.parametrize("byte", [0x00, 0x01, 0xFE, 0xFF])
@pytest.mark.parametrize("length", [65535, 65536])
def test_checksum_of_the_longest_packets(hashes: Driver, byte: int, length: int) -> None:
    """Uniform data drives every carry."""
    data = bytes([byte]) * length
    assert digest(hashes, "csum16", data) == internet_checksum(data)


def test_random_reference_sequences(hashes: Driver) -> None:
    """SplitMix64 from seed 0, and xoshiro256** from the state 1, 2, 3, 4."""
    seeded, *drawn = hashes.run(["seed 0", "state 1 2 3 4", *["random"] * 4])
    assert [hex(int(word)) for word in seeded.split()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
        "0xf88bb8a8724c81ec",
    ]
    assert drawn == ["11520", "0", "1509978240", "1215971899390074240"]


@given(low=st.integers(0, MASK64), high=st.integers(0, MASK64), seed=st.integers(0, MASK64))
def test_random_between_stays_within_its_bounds(hashes: Driver, low: int, high: int, seed: int) -> None:
    low, high = sorted((low, high))
    drawn = hashes.run([f"seed {seed}", *[f"between {low} {high}"] * 8])[1:]
    assert all(low <= int(value) <= high for value in drawn)


@pytest.mark.parametrize("high", [2, 3 * 2**62 - 1])
def test_random_between_is_uniform(hashes: Driver, high: int) -> None:
    """Chi-squared with two degrees of freedom. Of 3 * 2^62 values, a modulo would favour the lowest third and
    a bare multiplication the multiples of three, each by two to one."""
    draws = 6000
    drawn = [int(value) for value in hashes.run(["seed 7", *[f"between 0 {high}"] * draws])[1:]]
    for counts in (
        Counter(value * 3 // (high + 1) for value in drawn),
        Counter(value % 3 for value in drawn),
    ):
        assert len(counts) == 3
        assert sum((count - draws / 3) ** 2 / (draws / 3) for count in counts.values()) < 20.0
