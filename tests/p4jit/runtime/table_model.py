# SPDX-License-Identifier: Apache-2.0
"""What a match-action table does, as plainly as it can be said. For comparing the runtime's tables with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from heapq import heappop, heappush
from operator import or_

EXACT, LPM, TERNARY, RANGE, KEYLESS = range(5)
OK, NOT_FOUND, EXISTS, FULL, NO_MEMORY, IN_USE, INVALID = range(0, -7, -1)
NONE = 2**32 - 1
NEVER = 2**64 - 1
MEMBER, GROUP = 0xFFFFFFFD, 0xFFFFFFFE
#: How often an expired entry is looked at again at most.
REPEAT = 1_000_000

Words = tuple[int, ...]


@dataclass(frozen=True)
class RangeField:
    word: int
    shift: int
    width: int

    def of(self, words: Words) -> int:
        count = (self.width + 63) // 64
        number = sum(words[self.word + i] << 64 * i for i in range(count))
        return number >> self.shift & ((1 << self.width) - 1)

    def bits(self, count: int) -> Words:
        """The words with ones where the field is."""
        number = ((1 << self.width) - 1) << (self.shift + 64 * self.word)
        return tuple(number >> 64 * i & NEVER for i in range(count))


@dataclass(frozen=True)
class Shape:
    """A p4_table_info."""

    kind: int
    key_words: int = 1
    lpm_word: int = 0
    lpm_width: int = 0
    max_size: int = 1000
    data_bytes: int = 8
    extra_bytes: int = 0
    profile: bool = False
    ranges: tuple[RangeField, ...] = ()

    def init(self) -> str:
        fields = [self.kind, self.key_words, self.lpm_word, self.lpm_width, self.max_size, self.data_bytes]
        fields += [self.extra_bytes, int(self.profile), len(self.ranges)]
        for r in self.ranges:
            fields += [r.word, r.shift, r.width]
        return "init " + " ".join(map(str, fields))


@dataclass
class Entry:
    key: Words
    mask: Words
    prefix_length: int
    priority: int
    action: int
    data: int
    last_hit: int
    packets: int = 0
    timeout: int = 0
    since: int = 0
    check: int = NEVER
    reported: int = -1


@dataclass
class Table:
    """Runs operations; ``script`` and ``expected`` grow by a line each."""

    shape: Shape
    entries: dict[int, Entry] = field(default_factory=dict)
    script: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    _matches: set[tuple[Words, Words, int, int]] = field(default_factory=set)
    #: Handles below ``_end`` that are free, as a heap.
    _freed: list[int] = field(default_factory=list)
    _end: int = 0

    def __post_init__(self) -> None:
        self._say(self.shape.init(), OK)

    def _say(self, operation: str, *answer: object) -> None:
        self.script.append(operation)
        self.expected.append(" ".join(map(str, answer)))

    # -- matching

    def lpm_field(self, words: Words) -> int:
        """The left-aligned field as a number."""
        number = 0
        for word in words[self.shape.lpm_word :]:
            number = number << 64 | word
        return number

    def lpm_bits(self) -> int:
        return 64 * (self.shape.key_words - self.shape.lpm_word)

    def matches(self, entry: Entry, key: Words) -> bool:
        shape = self.shape
        if shape.kind == EXACT:
            return entry.key == key
        if shape.kind == LPM:
            shift = self.lpm_bits() - entry.prefix_length
            same = self.lpm_field(entry.key) >> shift == self.lpm_field(key) >> shift
            return same and entry.key[: shape.lpm_word] == key[: shape.lpm_word]
        if not all(r.of(entry.key) <= r.of(key) <= r.of(entry.mask) for r in shape.ranges):
            return False
        in_ranges = [r.bits(shape.key_words) for r in shape.ranges]
        for i, (value, mask, word) in enumerate(zip(entry.key, entry.mask, key, strict=True)):
            for bits in in_ranges:
                mask &= ~bits[i]
            if (value ^ word) & mask:
                return False
        return True

    def lookup(self, key: Words) -> int | None:
        found = [h for h, e in self.entries.items() if self.matches(e, key)]
        if not found:
            return None
        return max(found, key=lambda h: (self.entries[h].prefix_length, self.entries[h].priority, -h))

    def valid(self, key: Words, mask: Words, prefix_length: int) -> bool:
        shape = self.shape
        if shape.kind == EXACT:
            return True
        if shape.kind == LPM:
            if prefix_length > shape.lpm_width:
                return False
            return self.lpm_field(key) % (1 << (self.lpm_bits() - prefix_length)) == 0
        if any(r.of(key) > r.of(mask) for r in shape.ranges):
            return False
        in_ranges = [r.bits(shape.key_words) for r in shape.ranges]
        free = [reduce(or_, (bits[i] for bits in in_ranges), m) for i, m in enumerate(mask)]
        return all(k & ~f == 0 for k, f in zip(key, free, strict=True))

    # -- operations

    def insert(
        self,
        key: Words,
        mask: Words = (),
        prefix_length: int = 0,
        priority: int = 0,
        action: int = 1,
        data: int = 0,
        length: int = 8,
        timeout: int = 0,
        now: int = 0,
        status: int | None = None,
    ) -> int:
        """Returns the handle; ``status`` is the answer when something beyond this model refuses."""
        shape = self.shape
        masked = shape.kind in (TERNARY, RANGE)
        words = [*key, *mask] if masked else [*key]
        operation = f"insert {int(masked)} {' '.join(map(hex, words))} {prefix_length} {priority} {action}"
        operation += f" {data} {length} {timeout} {now}"
        prefix_length = prefix_length if shape.kind == LPM else 0
        priority, mask = (priority, mask) if masked else (0, ())
        entry = Entry(key, mask, prefix_length, priority, action, data % (1 << 8 * length), now)
        if length > shape.data_bytes or not self.valid(key, mask, prefix_length):
            status = INVALID
        elif self._match(entry) in self._matches:
            status = EXISTS
        elif len(self.entries) >= shape.max_size:
            status = FULL
        if status:
            self._say(operation, status, NONE)
            return NONE
        if self._freed:
            handle = heappop(self._freed)
        else:
            handle, self._end = self._end, self._end + 1
        self._matches.add(self._match(entry))
        self.entries[handle] = entry
        self._arm(entry, timeout, now)
        self._say(operation, OK, handle)
        return handle

    @staticmethod
    def _match(entry: Entry) -> tuple[Words, Words, int, int]:
        return entry.key, entry.mask, entry.prefix_length, entry.priority

    @staticmethod
    def _arm(entry: Entry, timeout: int, now: int) -> None:
        entry.timeout, entry.since, entry.reported = timeout, now, -1
        entry.check = now + timeout if timeout else NEVER

    def modify(
        self, handle: int, action: int, data: int, length: int, timeout: int, now: int, status: int = OK
    ) -> None:
        if handle not in self.entries:
            status = NOT_FOUND
        elif length > self.shape.data_bytes:
            status = INVALID
        elif status == OK:
            entry = self.entries[handle]
            entry.action, entry.data = action, data % (1 << 8 * length)
            self._arm(entry, timeout, now)
        self._say(f"modify {handle} {action} {data} {length} {timeout} {now}", status)

    def delete(self, handle: int) -> None:
        entry = self.entries.pop(handle, None)
        if entry:
            self._matches.remove(self._match(entry))
            heappush(self._freed, handle)
        self._say(f"delete {handle}", OK if entry else NOT_FOUND)

    def clear(self) -> None:
        self.entries.clear()
        self._matches.clear()
        self._freed.clear()
        self._end = 0
        self._say("clear", OK)

    def packet(self, key: Words, now: int = 0) -> None:
        handle = self.lookup(key)
        if handle is not None:
            self.entries[handle].packets += 1
            self.entries[handle].last_hit = now
        self._say(f"packet {' '.join(map(hex, key))} {now}", *self._described(handle))

    def _described(self, handle: int | None) -> Sequence[object]:
        if handle is None or handle not in self.entries:
            return ["-"]
        e = self.entries[handle]
        return [handle, e.action, e.data, e.packets, e.last_hit]

    def entry(self, handle: int) -> None:
        self._say(f"entry {handle}", *self._described(handle))

    def count(self) -> None:
        self._say("count", len(self.entries))

    def expired(self, now: int) -> None:
        """All that are due, in the order they came due."""
        found = []
        while True:
            due = min(self.entries, key=lambda h: (self.entries[h].check, h), default=None)
            if due is None or self.entries[due].check > now:
                break
            e = self.entries[due]
            end = max(e.last_hit, e.since) + e.timeout
            if end > now:
                e.check = end
                continue
            if e.reported != e.last_hit:
                found.append(due)
                e.reported = e.last_hit
            e.check = now + max(e.timeout, REPEAT)
        # The driver prints a space behind each handle.
        self.script.append(f"expired {now} 64")
        self.expected.append("".join(f"{h} " for h in found))

    def next_expiry(self, now: int) -> None:
        times = [e.check for e in self.entries.values()]
        self._say(f"next {now}", max(now, min(times)) if times and min(times) < NEVER else NEVER)
