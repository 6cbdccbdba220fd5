# SPDX-License-Identifier: Apache-2.0
"""What each kind of model server calls its load: the names of now, and those of before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from .exposition import Labels

#: When a server's process began. A page of several processes has none.
PROCESS_START: Final = "process_start_time_seconds"


@dataclass(frozen=True)
class Row:
    """Series of a name, those with the labels ``where``, times ``scale``. For a histogram without its
    suffix.
    """

    name: str
    where: Labels = frozenset()
    scale: float = 1.0


@dataclass(frozen=True)
class Share:
    """One row divided by another."""

    part: Row
    whole: Row


@dataclass(frozen=True)
class Info:
    """A number in a label, as info metrics have it."""

    name: str
    label: str


Gauge: TypeAlias = Row | Share | Info


@dataclass(frozen=True)
class Vocabulary:
    """Names without their prefix. Of alternatives the first that is there counts: new names before old
    ones.
    """

    prefixes: tuple[str, ...]
    running: tuple[Gauge, ...]
    waiting: tuple[Gauge, ...]
    kv_usage: tuple[Gauge, ...]
    block_size: tuple[Gauge, ...]
    blocks: tuple[Gauge, ...]
    #: Field of `Load` -> histograms.
    means: Mapping[str, tuple[Row, ...]]
    #: Field of `Load` -> counters.
    rates: Mapping[str, tuple[Row, ...]]
    #: (name, label): only series whose label has one of that name's values are the engine's. Triton lists
    #: the steps of an ensemble beside it.
    scope: tuple[str, str] | None = None

    @cached_property
    def gauges(self) -> dict[str, tuple[Gauge, ...]]:
        """By field of `Load`; what a server that serves must have."""
        return {"running": self.running, "waiting": self.waiting, "kv_usage": self.kv_usage}

    @cached_property
    def known(self) -> dict[str, tuple[int, str]]:
        """Full name -> (which prefix, name without it)."""
        bare = {self.scope[0]} if self.scope else set()
        for gauge in (*self.running, *self.waiting, *self.kv_usage, *self.block_size, *self.blocks):
            rows = (gauge.part, gauge.whole) if isinstance(gauge, Share) else (gauge,)
            bare.update(row.name for row in rows)
        bare.update(
            f"{row.name}{end}" for rows in self.means.values() for row in rows for end in ("_sum", "_count")
        )
        bare.update(row.name for rows in self.rates.values() for row in rows)
        return {prefix + name: (i, name) for i, prefix in enumerate(self.prefixes) for name in bare}

    @cached_property
    def cumulative(self) -> frozenset[str]:
        """Names, without prefix, of what only grows while a server runs."""
        histograms = (row.name for rows in self.means.values() for row in rows)
        counters = (row.name for rows in self.rates.values() for row in rows)
        return frozenset([*(name + end for name in histograms for end in ("_sum", "_count")), *counters])

    @cached_property
    def wanted(self) -> frozenset[str]:
        return frozenset([*self.known, PROCESS_START])


def _rows(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name) for name in names)


def _where(**labels: str) -> Labels:
    return frozenset(labels.items())


_TRITON_REQUESTS: Final = "trt_llm_request_metrics"
_TRITON_BLOCKS: Final = "trt_llm_kv_cache_block_metrics"

VOCABULARIES: Final[Mapping[str, Vocabulary]] = {
    "vllm": Vocabulary(
        # Ray's exporter has its own prefix. Colons are replaced by some of its versions, and by
        # prometheus_client where it writes OpenMetrics.
        prefixes=("vllm:", "vllm_", "ray_vllm:", "ray_vllm_"),
        running=_rows("num_requests_running"),
        waiting=_rows("num_requests_waiting"),
        kv_usage=_rows("kv_cache_usage_perc", "gpu_cache_usage_perc"),
        block_size=(Info("cache_config_info", "block_size"),),
        blocks=(Info("cache_config_info", "num_gpu_blocks"),),
        means={
            "queue_time": _rows("request_queue_time_seconds", "time_in_queue_requests"),
            "prefill_time": _rows("request_prefill_time_seconds"),
            "ttft": _rows("time_to_first_token_seconds"),
            # A mean over requests is what TPOT is defined as; over tokens there is one while none has
            # finished.
            "tpot": _rows(
                "request_time_per_output_token_seconds",
                "inter_token_latency_seconds",
                "time_per_output_token_seconds",
            ),
        },
        rates={
            # Ray exports counters with and without their suffix.
            "prompt_tokens_per_second": _rows("prompt_tokens_total", "prompt_tokens"),
            "generated_tokens_per_second": _rows("generation_tokens_total", "generation_tokens"),
            "requests_per_second": _rows("request_success_total", "request_success"),
        },
    ),
    "sglang": Vocabulary(
        prefixes=("sglang:", "sglang_"),
        running=_rows("num_running_reqs"),
        waiting=_rows("num_queue_reqs"),
        kv_usage=_rows("token_usage"),
        block_size=(Info("cache_config_info", "page_size"),),
        blocks=(Info("cache_config_info", "num_pages"),),
        means={
            "queue_time": _rows("queue_time_seconds"),
            "prefill_time": (Row("per_stage_req_latency_seconds", _where(stage="prefill_forward")),),
            "ttft": _rows("time_to_first_token_seconds"),
            "tpot": _rows("inter_token_latency_seconds", "time_per_output_token_seconds"),
        },
        rates={
            "prompt_tokens_per_second": _rows("prompt_tokens_total"),
            "generated_tokens_per_second": _rows("generation_tokens_total"),
            "requests_per_second": _rows("num_requests_total"),
        },
    ),
    "triton": Vocabulary(
        prefixes=("nv_",),
        running=(Row(_TRITON_REQUESTS, _where(request_type="scheduled")),),
        # Versions without this row have no other: Triton's own queue is empty, the engine's is where
        # requests wait.
        waiting=(Row(_TRITON_REQUESTS, _where(request_type="waiting")),),
        kv_usage=(
            Row(_TRITON_BLOCKS, _where(kv_cache_block_type="fraction")),
            Share(
                Row(_TRITON_BLOCKS, _where(kv_cache_block_type="used")),
                Row(_TRITON_BLOCKS, _where(kv_cache_block_type="max")),
            ),
        ),
        block_size=(Row(_TRITON_BLOCKS, _where(kv_cache_block_type="tokens_per")),),
        blocks=(Row(_TRITON_BLOCKS, _where(kv_cache_block_type="max")),),
        # Only when asked for at start-up. Of a server that streams, the first response is the first token.
        means={"ttft": (Row("inference_first_response_histogram_ms", scale=1e-3),)},
        rates={
            "prompt_tokens_per_second": _rows("llm_input_token_len_sum"),
            "generated_tokens_per_second": _rows("llm_output_token_len_sum"),
            "requests_per_second": _rows("inference_request_success"),
        },
        scope=(_TRITON_REQUESTS, "model"),
    ),
    "trtllm": Vocabulary(
        prefixes=("trtllm_", "trtllm:"),  # the second is Dynamo's
        running=_rows("num_requests_running"),
        waiting=_rows("num_requests_waiting"),
        kv_usage=_rows("kv_cache_utilization"),
        block_size=_rows("kv_cache_tokens_per_block"),
        blocks=_rows("kv_cache_max_blocks"),
        means={
            "queue_time": _rows("request_queue_time_seconds"),
            "prefill_time": _rows("request_prefill_time_seconds"),
            "ttft": _rows("time_to_first_token_seconds"),
            "tpot": _rows("time_per_output_token_seconds"),
        },
        rates={
            "prompt_tokens_per_second": _rows("prompt_tokens_total"),
            "generated_tokens_per_second": _rows("generation_tokens_total"),
            "requests_per_second": _rows("request_success_total"),
        },
    ),
}
