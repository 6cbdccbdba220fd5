# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import math
import time

import pytest
from din.measure.exposition import MAX_PAGE, ExpositionError, Sample, names, parse
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from .model_server import PAGES


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", Sample("up", labels(), 1.0)),
        ("vllm:a_b:c 1.5e+03", Sample("vllm:a_b:c", labels(), 1500.0)),
        ("a_total 1.2E-7 1395066363000", Sample("a_total", labels(), 1.2e-7)),
        ("a  \t 3", Sample("a", labels(), 3.0)),
        ("  a{}  3 ", Sample("a", labels(), 3.0)),
        ('a {b="c"} 3\r', Sample("a", labels(b="c"), 3.0)),
        ('a{b="c",} 3', Sample("a", labels(b="c"), 3.0)),
        ('a { b = "c" , d="e" } -3.25', Sample("a", labels(b="c", d="e"), -3.25)),
        ('a{b="x,y=\\"z\\"} 9"} 3', Sample("a", labels(b='x,y="z"} 9'), 3.0)),
        ('a{b="C:\\\\n\\nD\\t"} 3', Sample("a", labels(b="C:\\n\nD\\t"), 3.0)),
        ('a{b="# EOF"} .5', Sample("a", labels(b="# EOF"), 0.5)),
        ('a{b="模型"} 5.', Sample("a", labels(b="模型"), 5.0)),
        ("a +Inf", Sample("a", labels(), math.inf)),
        ("a -inf", Sample("a", labels(), -math.inf)),
        ('a_bucket{le="0.1"} 8 # {trace_id="KOO5S4"} 0.067 1.5e9', Sample("a_bucket", labels(le="0.1"), 8.0)),
        ('a_total 17 1520879607.789 # {id="#x"} 0.2', Sample("a_total", labels(), 17.0)),
    ],
)
def test_a_line(line: str, sample: Sample) -> None:
    assert parse(f"# HELP a b\n{line}\n".encode()) == [sample]


def test_nan() -> None:
    (sample,) = parse(b"a NaN")
    assert math.isnan(sample.value)


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a{",
        "a{}",
        'a{b="c"}',
        'a{b="c} 3',
        'a{b="c"d="e"} 3',
        "a{b=c} 3",
        'a{b="c",b="d"} 3',
        "a{,} 3",
        'a{1b="c"} 3',
        "a 1_000",
        "a 0x10",
        "a ١",
        "a one",
        "a 1 2 3",
        "a 1 # exemplar",
        "a-b 1",
        "a\x00 1",
    ],
)
def test_a_malformed_line_is_an_error_that_names_it(line: str) -> None:
    with pytest.raises(ExpositionError, match="line 2: "):
        parse(f"ok 1\n{line}\n".encode())


@pytest.mark.parametrize("line", ["a{", "a one", 'a{b="c'])
def test_lines_of_other_names_are_not_judged(line: str) -> None:
    assert parse(f"{line}\nok 1\n".encode(), {"ok"}) == [Sample("ok", labels(), 1.0)]


def test_after_eof_nothing_is_read() -> None:
    assert parse(b"a 1\n# EOF\na 2\n") == [Sample("a", labels(), 1.0)]


def test_quoted_names_are_passed_over() -> None:
    assert parse(b'{"my.metric", b="c"} 1\nok 1\n') == [Sample("ok", labels(), 1.0)]


def test_names_of_a_page() -> None:
    assert names(b'# TYPE b gauge\nb 1\na{x="b 1"} 2\nb{c="d"} 3\n') == ["b", "a"]


# ---- against the reference ---------------------------------------------------------------------------------


LABEL_VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\x85\u2028\u2029"))
VALUES = st.floats()
LABELS = st.dictionaries(st.sampled_from(["engine", "model_name", "x"]), LABEL_VALUES, max_size=3)


@given(st.lists(st.tuples(LABELS, VALUES), min_size=1, max_size=5))
def test_what_prometheus_client_writes_is_read_back(rows: list[tuple[dict[str, str], float]]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("vllm:load", "Words, with \\ and\nlines.", ["engine", "model_name", "x"], registry=registry)
    for labels, value in rows:
        gauge.labels(*(labels.get(name, "") for name in ("engine", "model_name", "x"))).set(value)
    expected = {
        tuple(labels.get(name, "") for name in ("engine", "model_name", "x")): value for labels, value in rows
    }
    for write in (generate_latest, openmetrics):
        found = {
            tuple(dict(sample.labels).get(name) for name in ("engine", "model_name", "x")): sample.value
            for sample in parse(write(registry))
        }
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert found[key] == value or (math.isnan(found[key]) and math.isnan(value))


def test_counters_and_histograms_of_openmetrics_with_exemplars() -> None:
    registry = CollectorRegistry()
    Counter("vllm:tokens", "Tokens.", registry=registry).inc(5, {"trace_id": 'a"} 7'})
    histogram = Histogram("vllm:ttft_seconds", "TTFT.", buckets=[0.1, 1.0], registry=registry)
    histogram.observe(0.5, {"trace_id": "abc"})
    found = {
        (sample.name, dict(sample.labels).get("le")): sample.value for sample in parse(openmetrics(registry))
    }
    assert found["vllm_tokens_total", None] == 5
    assert found["vllm_ttft_seconds_bucket", "1.0"] == 1
    assert found["vllm_ttft_seconds_count", None] == 1
    assert found["vllm_ttft_seconds_sum", None] == 0.5


@pytest.mark.parametrize("path", sorted(PAGES.iterdir()), ids=lambda path: path.stem)
def test_pages_of_servers_are_read_as_the_reference_reads_them(path) -> None:
    # Which renames counters without `_total`: names are left out.
    families = text_string_to_metric_families(path.read_text())
    expected = [(labels(**sample.labels), sample.value) for family in families for sample in family.samples]
    assert [(sample.labels, sample.value) for sample in parse(path.read_bytes())] == expected


# ---- what nobody should send -------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_are_samples_or_an_error(page: bytes) -> None:
    try:
        samples = parse(page)
    except ExpositionError:
        return
    assert all(isinstance(sample.value, float) for sample in samples)


@given(st.text(alphabet='a1:_{}",=\\ \t\n#.e+', max_size=60))
def test_anything_like_a_page_is_samples_or_an_error(text: str) -> None:
    with contextlib.suppress(ExpositionError):
        assert all(isinstance(sample.value, float) for sample in parse(text.encode()))


def test_not_utf8() -> None:
    with pytest.raises(ExpositionError, match="byte 10 is not UTF-8"):
        parse(b'ok 1\na{b="\xff"} 1\n')


def test_too_long() -> None:
    with pytest.raises(ExpositionError, match=f"more than {MAX_PAGE}"):
        parse(b"#" * (MAX_PAGE + 1))


@pytest.mark.parametrize(
    "page",
    [
        b"a{" + b'b="' * (MAX_PAGE // 3 - 2),
        b'a{b="' + b"\\" * (MAX_PAGE - 6),
        b'a{b="' + b"x" * (MAX_PAGE - 6),
        b"a{" + b" " * (MAX_PAGE - 2),
        b"a " + b"1" * (MAX_PAGE - 2),
        b"a 1" + b" " * (MAX_PAGE - 5) + b"x",
        b"a 1 # {" + b"{" * (MAX_PAGE - 7),
        b"a" * MAX_PAGE,
        b"\n" * MAX_PAGE,
        b"a 1\n" * (MAX_PAGE // 4),
        b"a{" + b",".join(b'l%d="x"' % i for i in range(MAX_PAGE // 13)) + b"} 1",
    ],
    ids=["open", "slash", "quote", "blanks", "digits", "tail", "extra", "name", "lines", "many", "labels"],
)
def test_the_longest_page_is_done_with_soon(page: bytes) -> None:
    assert len(page) <= MAX_PAGE
    start = time.process_time()
    with contextlib.suppress(ExpositionError):
        parse(page)
    # A fraction of a second; what grows with the square of its length takes minutes.
    assert time.process_time() - start < 5
