# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import re
from dataclasses import replace

import pytest
from din.measure.exposition import ExpositionError
from din.measure.servers import WINDOW, Reader
from din.measure.state import Load
from din.measure.vocabulary import VOCABULARIES
from hypothesis import given
from hypothesis import strategies as st

from .model_server import page


def grown(text: bytes, factor: float = 2.0) -> bytes:
    """The page, all that accumulates times ``factor``."""

    def more(match: re.Match[bytes]) -> bytes:
        return match[1] + repr(float(match[2]) * factor).encode()

    cumulative = rb"^(\S+(?:_total|_sum|_count|_success|_tokens)(?:\{.*\})? )(\S+)$"
    return re.sub(cumulative, more, text, flags=re.MULTILINE)


def added(text: bytes, *rows: str) -> bytes:
    return text + "\n".join(rows).encode() + b"\n"


def without(text: bytes, *names: str) -> bytes:
    lines = text.decode().split("\n")
    return "\n".join(line for line in lines if not line.startswith(names)).encode()


def twice(name: str, server: str) -> Load:
    """After as much again has happened in two seconds as before."""
    reader = Reader("one", server)
    text = page(name)
    reader.read(text, 10.0)
    return reader.read(grown(text), 12.0)


def assert_about(found: Load, expected: Load) -> None:
    for field, value in vars(expected).items():
        assert getattr(found, field) == (pytest.approx(value) if value is not None else None), field


GOLDEN = {
    # Two engines: 12 + 20 running, 3 + 4 waiting, KV 25 % and 75 %; 50 requests of each since the start.
    "vllm": (
        "vllm",
        Load(
            at=12.0,
            running=32,
            waiting=7,
            kv_usage=0.5,
            queue_time=0.1,
            prefill_time=0.05,
            ttft=0.18,
            tpot=0.01,
            prompt_tokens_per_second=(1_234_500 + 5_500) / 2,
            generated_tokens_per_second=10_000 / 2,
            requests_per_second=100 / 2,
            block_size=16,
            blocks=27_941 + 27_940,
        ),
    ),
    # "None" blocks are unknown; so is what this version does not say.
    "vllm-0.8": (
        "vllm",
        Load(
            at=12.0,
            running=2,
            waiting=221,
            kv_usage=0.05,
            queue_time=0.5,
            ttft=1 / 7,
            tpot=0.1,
            prompt_tokens_per_second=450,
            generated_tokens_per_second=40,
            requests_per_second=3.5,
            block_size=32,
        ),
    ),
    "ray-vllm": (
        "vllm",
        Load(at=12.0, running=6, waiting=1, kv_usage=0.5, ttft=0.5, generated_tokens_per_second=500),
    ),
    # Two data-parallel engines of two tensor-parallel ranks each.
    "sglang": (
        "sglang",
        Load(
            at=12.0,
            running=11,
            waiting=5,
            kv_usage=0.3,
            queue_time=0.2,
            prefill_time=0.1,
            ttft=0.5,
            tpot=0.04,
            prompt_tokens_per_second=8.128902e6 / 2,
            generated_tokens_per_second=7.557572e6 / 2,
            requests_per_second=5504,
            block_size=64,
            blocks=2000,
        ),
    ),
    # Neither `waiting` nor `fraction`. The ensemble's other steps are no requests of the engine.
    "triton-old": (
        "triton",
        Load(at=12.0, running=3, kv_usage=0.25, requests_per_second=16.5, block_size=64, blocks=6240),
    ),
    "triton": (
        "triton",
        Load(
            at=12.0,
            running=8,
            waiting=17,
            kv_usage=0.125,
            ttft=0.2,
            prompt_tokens_per_second=10_000,
            generated_tokens_per_second=2_000,
            requests_per_second=20,
            block_size=64,
            blocks=6240,
        ),
    ),
    "trtllm": (
        "trtllm",
        Load(
            at=12.0,
            running=9,
            waiting=2,
            kv_usage=0.375,
            queue_time=0.1,
            prefill_time=0.05,
            ttft=0.2,
            tpot=0.02,
            prompt_tokens_per_second=5_000,
            generated_tokens_per_second=1_500,
            requests_per_second=10,
            block_size=32,
            blocks=4096,
        ),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_pages_of_all_servers(name: str) -> None:
    server, expected = GOLDEN[name]
    assert_about(twice(name, server), expected)


INTERVAL_FIELDS = [*VOCABULARIES["vllm"].means, *VOCABULARIES["vllm"].rates]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_page_tells_no_interval(name: str) -> None:
    server, expected = GOLDEN[name]
    found = Reader("one", server).read(page(name), 12.0)
    assert_about(found, replace(expected, **dict.fromkeys(INTERVAL_FIELDS)))


@pytest.mark.parametrize("name", GOLDEN)
def test_where_nothing_finished_there_is_no_mean(name: str) -> None:
    server, _ = GOLDEN[name]
    reader = Reader("one", server)
    reader.read(page(name), 10.0)
    found = reader.read(page(name), 11.0)
    for field in VOCABULARIES[server].means:
        assert getattr(found, field) is None, field
    for field in VOCABULARIES[server].rates:
        # A counter that is there and stood still is known; one that is not there is not.
        assert getattr(found, field) == (0 if getattr(twice(name, server), field) is not None else None), (
            field
        )


@pytest.mark.parametrize("prefix", [b"vllm_", b"ray_vllm:", b"ray_vllm_"])
def test_prefixes(prefix: bytes) -> None:
    reader = Reader("one", "vllm")
    renamed = page("vllm").replace(b"vllm:", prefix)
    reader.read(renamed, 10.0)
    assert reader.read(grown(renamed), 12.0) == twice("vllm", "vllm")


def test_a_page_that_says_all_twice_under_two_prefixes_counts_once() -> None:
    both = page("vllm").replace(b"vllm:", b"ray_vllm_").replace(b"} 12.0", b"} 99.0") + page("vllm")
    assert Reader("one", "vllm").read(both, 0.0).running == 32


def test_new_names_come_before_old_ones() -> None:
    both = added(page("vllm"), "vllm:gpu_cache_usage_perc 0.99")
    assert Reader("one", "vllm").read(both, 0.0).kv_usage == 0.5


@pytest.mark.parametrize("value", ["-1.0", "-1", "NaN", "+Inf", "-Inf"])
@pytest.mark.parametrize("field", ["running", "waiting", "kv_usage"])
def test_sentinels_are_unknown_also_of_one_engine(field: str, value: str) -> None:
    (gauge,) = VOCABULARIES["trtllm"].gauges[field]
    name = f"trtllm_{gauge.name}"  # type: ignore[union-attr]
    text = added(without(page("trtllm"), name), f'{name}{{engine="0"}} 0.5', f'{name}{{engine="1"}} {value}')
    found = Reader("one", "trtllm").read(text, 0.0)
    assert getattr(found, field) is None
    others = {"running", "waiting", "kv_usage"} - {field}
    assert all(getattr(found, other) is not None for other in others)


def test_a_rank_that_knows_nothing_makes_its_engine_unknown() -> None:
    for values in (("NaN", "3"), ("3", "NaN")):
        rows = [f'sglang:num_queue_reqs{{tp_rank="{rank}"}} {value}' for rank, value in enumerate(values)]
        assert Reader("one", "sglang").read("\n".join(rows).encode(), 0.0).waiting is None


def test_a_full_cache_is_full_however_it_is_written() -> None:
    text = added(
        without(page("trtllm"), "trtllm_kv_cache_utilization"), "trtllm_kv_cache_utilization 1.0000002"
    )
    assert Reader("one", "trtllm").read(text, 0.0).kv_usage == 1.0


def test_of_priorities_the_sum_counts() -> None:
    rows = [
        'sglang:num_queue_reqs{priority="",tp_rank="0"} 5',
        'sglang:num_queue_reqs{priority="0",tp_rank="0"} 2',
        'sglang:num_queue_reqs{priority="10",tp_rank="0"} 3',
    ]
    assert Reader("one", "sglang").read("\n".join(rows).encode(), 0.0).waiting == 5


def test_engines_of_different_block_size_have_none_in_common() -> None:
    rows = [f'vllm:cache_config_info{{engine="{n}",block_size="{size}"}} 1' for n, size in ((0, 16), (1, 32))]
    assert Reader("one", "vllm").read("\n".join(rows).encode(), 0.0).block_size is None


def test_tpot_while_no_request_has_finished_is_of_the_tokens() -> None:
    reader = Reader("one", "vllm")
    text = page("vllm")
    reader.read(text, 10.0)
    tokens = rb"^(vllm:inter_token_latency_seconds_(?:sum|count)\{.*\} )(\S+)$"
    more = re.sub(tokens, lambda m: m[1] + repr(float(m[2]) * 2).encode(), text, flags=re.MULTILINE)
    assert reader.read(more, 11.0).tpot == pytest.approx(80 / 100)


# ---- renamed, missing --------------------------------------------------------------------------------------


def test_a_renamed_gauge_is_unknown_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    renamed = page("vllm").replace(b"vllm:kv_cache_usage_perc", b"vllm:kv_cache_fill")
    reader = Reader("edge-8b-0", "vllm")
    with caplog.at_level(logging.WARNING):
        for at in range(5):
            found = reader.read(renamed, float(at))
            assert found.kv_usage is None
            assert found.running == 32
    (record,) = caplog.records
    message = record.getMessage()
    assert "edge-8b-0" in message
    assert "kv_usage is unknown" in message
    assert "vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc" in message
    assert "vllm:kv_cache_fill" in message


def test_what_is_missing_of_triton_is_spelt_with_its_labels(caplog: pytest.LogCaptureFixture) -> None:
    Reader("one", "triton").read(page("triton-old"), 0.0)
    assert "nv_trt_llm_request_metrics{request_type=waiting}" in caplog.text


@pytest.mark.parametrize("server", VOCABULARIES)
@pytest.mark.parametrize("text", [b"", b"<html>404</html>", b"# just words\n", b"other:metric 1\n"])
def test_a_page_of_something_else_is_an_error(server: str, text: bytes) -> None:
    with pytest.raises(ExpositionError, match=f"no metric of {server}"):
        Reader("one", server).read(text, 0.0)


def test_an_error_leaves_what_was_read_before() -> None:
    reader = Reader("one", "vllm")
    reader.read(page("vllm"), 10.0)
    with pytest.raises(ExpositionError):
        reader.read(b"vllm:num_requests_running oops\n", 11.0)
    assert reader.read(grown(page("vllm")), 12.0) == twice("vllm", "vllm")


def test_no_such_server() -> None:
    with pytest.raises(KeyError):
        Reader("one", "ollama")


# ---- restarts and intervals --------------------------------------------------------------------------------


def test_counters_that_fell_are_a_restart() -> None:
    reader = Reader("one", "vllm")
    reader.read(grown(page("vllm")), 10.0)
    found = reader.read(page("vllm"), 11.0)
    assert found.running == 32
    assert all(getattr(found, field) is None for field in INTERVAL_FIELDS)
    assert reader.read(grown(page("vllm")), 13.0) == replace(twice("vllm", "vllm"), at=13.0)


def test_one_engine_of_two_that_restarts_is_noticed_though_the_sum_grows() -> None:
    def text(first: int, second: int) -> bytes:
        rows = [f'vllm:request_success_total{{engine="{n}"}} {v}' for n, v in ((0, first), (1, second))]
        return "\n".join(rows).encode()

    reader = Reader("one", "vllm")
    reader.read(text(10, 10), 0.0)
    assert reader.read(text(100, 5), 1.0).requests_per_second is None


def test_a_server_that_started_anew_and_overtook_itself_is_noticed() -> None:
    reader = Reader("one", "vllm")
    reader.read(page("vllm"), 10.0)
    anew = grown(page("vllm")).replace(b"process_start_time_seconds 1.76", b"process_start_time_seconds 1.77")
    assert reader.read(anew, 12.0).ttft is None


def test_series_that_are_gone_are_a_restart_and_new_ones_began_at_0() -> None:
    reader = Reader("one", "sglang")
    reader.read(b"sglang:num_requests_total 4\n", 0.0)
    histogram = ["sglang:time_to_first_token_seconds_sum 3", "sglang:time_to_first_token_seconds_count 2"]
    found = reader.read(added(b"sglang:num_requests_total 6\n", *histogram), 1.0)
    assert (found.ttft, found.requests_per_second) == (1.5, 2.0)
    assert reader.read(b"sglang:num_requests_total 7\n", 2.0).requests_per_second is None


def test_means_and_rates_are_of_the_last_window() -> None:
    """A request a second, each slower than the one before: the mean is of the last two."""
    reader = Reader("one", "vllm")
    total = 0.0
    for second in range(10):
        total += second
        rows = (
            f"vllm:time_to_first_token_seconds_sum {total}",
            f"vllm:time_to_first_token_seconds_count {second + 1}",
            f"vllm:request_success_total {second + 1}",
        )
        found = reader.read(added(b"", *rows), float(second))
    assert found.ttft == (9 + 8) / WINDOW
    assert found.requests_per_second == 1.0


def test_after_a_gap_there_is_no_interval() -> None:
    reader = Reader("one", "vllm")
    reader.read(page("vllm"), 10.0)
    assert reader.read(grown(page("vllm")), 30.0).ttft is None
    assert reader.read(grown(page("vllm"), 4.0), 32.0).ttft == pytest.approx(0.18)


PARTS = st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100, allow_nan=False)), min_size=1, max_size=4)


@given(before=PARTS, more=PARTS, seconds=st.floats(0.1, WINDOW))
def test_the_mean_is_the_sum_of_what_was_added_by_its_count(
    before: list[tuple[int, float]], more: list[tuple[int, float]], seconds: float
) -> None:
    engines = min(len(before), len(more))
    before, more = before[:engines], more[:engines]

    def text(parts: list[tuple[int, float]]) -> bytes:
        rows = []
        for engine, (count, total) in enumerate(parts):
            rows.append(f'trtllm_request_queue_time_seconds_count{{engine="{engine}"}} {count}')
            rows.append(f'trtllm_request_queue_time_seconds_sum{{engine="{engine}"}} {total!r}')
        return "\n".join(rows).encode()

    reader = Reader("one", "trtllm")
    reader.read(text(before), 5.0)
    after = [(old[0] + new[0], old[1] + new[1]) for old, new in zip(before, more, strict=True)]
    found = reader.read(text(after), 5.0 + seconds)
    count = sum(part[0] for part in more)
    if count == 0:
        assert found.queue_time is None
    else:
        assert found.queue_time == pytest.approx(sum(part[1] for part in more) / count, abs=1e-9)


@given(
    st.lists(st.sampled_from(["running", "waiting", "kv_usage"]), unique=True), st.sampled_from(list(GOLDEN))
)
def test_what_is_taken_from_a_page_is_unknown_and_nothing_else(gone: list[str], name: str) -> None:
    server, expected = GOLDEN[name]
    prefixes = VOCABULARIES[server].prefixes
    text = page(name)
    for field in gone:
        for gauge in VOCABULARIES[server].gauges[field]:
            for row in (gauge.part, gauge.whole) if hasattr(gauge, "part") else (gauge,):
                labels = "".join(f'{key}="{value}"' for key, value in row.where)
                drop = tuple(f"{prefix}{row.name}{'{' if labels else ''}{labels}" for prefix in prefixes)
                text = without(text, *drop)
    found = Reader("one", server).read(text, 0.0)
    for field in ("running", "waiting", "kv_usage"):
        known = pytest.approx(getattr(expected, field))
        assert getattr(found, field) == (None if field in gone else known), field
