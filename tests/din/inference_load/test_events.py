# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from din.inference.load.events import EventSplitter
from hypothesis import given
from hypothesis import strategies as st

STREAM = (
    b': keep-alive\n\ndata: {"a": 1}\n\nevent: x\ndata:two\ndata: lines\nid: 3\n\ndata: [DONE]\n\ndata: half'
)
EVENTS = [b'{"a": 1}', b"two\nlines", b"[DONE]"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 120)))
def test_events_do_not_depend_on_how_bytes_arrive(ending: bytes, cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", ending)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = EventSplitter()
    found = [data for a, b in pairwise(places) for data in splitter.feed(stream[a:b])]
    assert found == EVENTS


def test_an_event_is_there_as_soon_as_it_is_whole() -> None:
    splitter = EventSplitter()
    assert list(splitter.feed(b"data: a\n")) == []
    assert list(splitter.feed(b"\n")) == [b"a"]
