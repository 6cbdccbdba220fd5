# SPDX-License-Identifier: Apache-2.0
"""What outlives a controller, in real files."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from din.controller.store import Store, StoreError
from din.model.ids import Ids
from hypothesis import given, settings
from hypothesis import strategies as st

IDS = Ids({"node": {"leaf-1": 1}}, {"node": {"leaf-2": 2}})
ROUTES = {"request/leaf-1/chat-1/scheduled/": [("leaf-1", 1), ("core-1", 2)]}
#: Files and what reads them.
READERS: dict[str, Callable[[Store], Any]] = {
    "term.json": lambda store: store.next_term(),
    "revisions/000001.json": lambda store: store.revisions(),
    "ids.json": lambda store: store.ids(),
    "routes.json": lambda store: store.routes(),
    "drained.json": lambda store: store.drained(),
    "cut.json": lambda store: store.cut(),
}


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def filled() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder) as store:
            store.next_term()
            store.add("version: 1\n", "/there/model.yaml", "start")
            store.save_ids(IDS)
            store.save_routes(ROUTES)
            store.save_drained(frozenset({"chat-2", "chat-1"}))
            store.save_cut(frozenset({"chat-2"}))
        yield folder


def test_all_comes_back() -> None:
    with filled() as folder, opened(folder) as store:
        (revision,) = store.revisions()
        assert (revision.number, revision.text, revision.file) == (1, "version: 1\n", "/there/model.yaml")
        assert store.ids() == IDS
        assert store.routes() == ROUTES
        assert store.drained() == {"chat-1", "chat-2"}
        assert store.cut() == {"chat-2"}


def test_an_empty_directory_has_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "one") as store:
        assert store.revisions() == []
        assert store.ids() is None
        assert store.routes() == {}
        assert store.drained() == frozenset()


def test_terms_only_rise(tmp_path: Path) -> None:
    found = []
    for above in (0, 0, 17, 3, 0):
        with opened(tmp_path) as store:
            found.append(store.next_term(above))
    assert found == [1, 2, 18, 19, 20]


def test_revisions_are_numbered_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert [store.add(text, "f", "r").number for text in "abc"] == [1, 2, 3]
    with opened(tmp_path) as store:
        assert store.add("d", "f", "r").number == 4
        assert [each.text for each in store.revisions()] == ["a", "b", "c", "d"]


def test_one_controller_at_a_time(tmp_path: Path) -> None:
    """Another process, since a lock is a process's."""
    program = (
        f"from pathlib import Path; from din.controller.store import Store; Store(Path({str(tmp_path)!r}))"
    )
    with opened(tmp_path):
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert other.returncode != 0
        assert "another controller uses this state directory" in other.stderr
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"7", b'["x"]', b'{"x": [[1]]}', b'[["a"]]']
)
def test_a_damaged_file_is_named(name: str, content: bytes) -> None:
    with filled() as folder, opened(folder) as store:
        (folder / name).write_bytes(content)
        # What happens to be of the right kind is what it says.
        if name in ("drained.json", "cut.json") and content == b'["x"]':
            assert READERS[name](store) == {"x"}
            return
        with pytest.raises(StoreError) as error:
            READERS[name](store)
        assert str(folder / name) in str(error.value)
        assert "Remove the file" in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=60)
@given(st.sampled_from(list(READERS)), JSON)
def test_whatever_a_file_holds_it_is_read_or_refused(name: str, content: Any) -> None:
    with filled() as folder, opened(folder) as store:
        (folder / name).write_text(json.dumps(content))
        with contextlib.suppress(StoreError):
            READERS[name](store)


def test_a_crash_while_writing_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """At any point before the new one has taken its place."""

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    for point in ("fsync", "rename"):
        with filled() as folder, opened(folder) as store:
            with monkeypatch.context() as patch:
                patch.setattr(os, point, crash)
                with pytest.raises(KeyboardInterrupt):
                    store.save_ids(Ids({"node": {"other": 9}}))
            assert store.ids() == IDS


def test_what_a_crash_has_left_is_no_revision(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add("a", "f", "r")
        (tmp_path / "revisions" / "000002.new").write_text('{"num')
        assert [each.number for each in store.revisions()] == [1]
        assert store.add("b", "f", "r").number == 2
        assert [each.text for each in store.revisions()] == ["a", "b"]


def test_a_damaged_revision_keeps_no_other_from_being_added() -> None:
    with filled() as folder, opened(folder) as store:
        (folder / "revisions/000001.json").write_text("{")
        (folder / "revisions/notes.json").write_text("{}")
        assert store.add("b", "f", "r").number == 2


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        (tmp_path / "cut.json" / "folder").mkdir(parents=True)
        with pytest.raises(StoreError, match=r"cut\.json cannot be written: Is a directory"):
            store.save_cut(frozenset())
        assert not list(tmp_path.glob("*.new"))


def test_terms_rise_though_none_can_be_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path) as store:
        assert store.next_term() == 1
        (tmp_path / "term.new").mkdir()
        assert [store.next_term(), store.next_term(), store.next_term(9)] == [2, 3, 10]
        assert "the term is not noted" in caplog.text
