# SPDX-License-Identifier: Apache-2.0
"""What /metrics says, in vLLM's names (its V1 engine's, of the labels model_name and engine) and its buckets:
vllm/v1/metrics/loggers.py, without what is of LoRA, speculative decoding or deprecated.

There is no prefix cache, so its two counters stay at 0, as vLLM's do under --no-enable-prefix-caching.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from .scheduler import Scheduler, Sequence, Step

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
#: As OpenAI's finish_reason, and vLLM's abort: the client left, or a drain or reset cut it.
REASONS: Final = ("stop", "length", "abort")
_TTFT: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_TPOT: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_LATENCY: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0),
    *(50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_N: Final = (1, 2, 5, 10, 20)
_STEP: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True)
class Times:
    """Of one finished request, in seconds, cut as vLLM cuts them."""

    e2e: float  # arrival to last token
    queue: float  # arrival to its first place in a batch, a remote prefill and its transfer included
    ttft: float  # arrival to first token
    prefill: float  # first place in a batch to first token
    decode: float  # first to last token

    @property
    def inference(self) -> float:
        return self.prefill + self.decode

    @classmethod
    def of(cls, sequence: Sequence) -> Times:
        """``sequence`` has had its last token."""
        assert sequence.scheduled is not None
        assert sequence.first_token is not None
        assert sequence.last_token is not None
        return cls(
            e2e=sequence.last_token - sequence.arrived,
            queue=sequence.scheduled - sequence.arrived,
            ttft=sequence.first_token - sequence.arrived,
            prefill=sequence.first_token - sequence.scheduled,
            decode=sequence.last_token - sequence.first_token,
        )


class Metrics:
    """Of one server, in a registry of its own. ``context``: the longest that a request may be, in tokens."""

    def __init__(self, model: str, scheduler: Scheduler, context: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        labels = ("model_name", "engine")
        here = {"model_name": model, "engine": "0"}

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, labels, registry=self._registry).labels(**here)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, labels, registry=self._registry).labels(**here)

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            made = Histogram(name, text, labels, buckets=tuple(buckets), registry=self._registry)
            return made.labels(**here)

        gauge("vllm:num_requests_running", "Requests in the batch.").set_function(
            lambda: len(scheduler.running)
        )
        gauge("vllm:num_requests_waiting", "Requests that wait for a place in the batch.").set_function(
            lambda: scheduler.queued
        )
        profile = scheduler.profile
        gauge("vllm:kv_cache_usage_perc", "Part of the KV cache in use, 0 to 1.").set_function(
            lambda: scheduler.blocks_used / profile.kv_blocks
        )
        cache = {
            "block_size": str(profile.block_size),
            "num_gpu_blocks": str(profile.kv_blocks),
            "enable_prefix_caching": "False",
            "engine": "0",
        }
        Gauge("vllm:cache_config_info", "The KV cache's shape.", list(cache), registry=self._registry).labels(
            **cache
        ).set(1)

        self._preemptions = counter("vllm:num_preemptions", "Sequences that lost their KV cache to another.")
        self._prompt = counter("vllm:prompt_tokens", "Prompt tokens computed.")
        self._generated = counter("vllm:generation_tokens", "Tokens generated.")
        counter("vllm:prefix_cache_queries", "Prompt tokens looked up in the prefix cache.")
        counter("vllm:prefix_cache_hits", "Prompt tokens found in the prefix cache.")
        success = Counter(
            "vllm:request_success",
            "Requests that ended.",
            (*labels, "finished_reason"),
            registry=self._registry,
        )
        self._success = {reason: success.labels(**here, finished_reason=reason) for reason in REASONS}

        self._ttft = histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", _TTFT)
        self._gap = histogram("vllm:inter_token_latency_seconds", "Between two tokens of a request.", _TPOT)
        self._tpot = histogram(
            "vllm:request_time_per_output_token_seconds", "A request's mean time between tokens.", _TPOT
        )
        self._e2e = histogram("vllm:e2e_request_latency_seconds", "From arrival to the last token.", _LATENCY)
        self._queue = histogram("vllm:request_queue_time_seconds", "A request's time in the queue.", _LATENCY)
        self._prefill = histogram("vllm:request_prefill_time_seconds", "A request's prefill.", _LATENCY)
        self._decode = histogram("vllm:request_decode_time_seconds", "A request's decoding.", _LATENCY)
        self._inference = histogram("vllm:request_inference_time_seconds", "Prefill and decoding.", _LATENCY)

        lengths = _one_two_five(context)
        self._prompts = histogram("vllm:request_prompt_tokens", "A request's prompt tokens.", lengths)
        self._answers = histogram("vllm:request_generation_tokens", "A request's tokens generated.", lengths)
        self._longest = histogram(
            "vllm:request_max_num_generation_tokens", "The most of a request's answers.", lengths
        )
        self._asked = histogram("vllm:request_params_max_tokens", "Tokens that a request may have.", lengths)
        self._n = histogram("vllm:request_params_n", "Answers that a request asks for.", _N)
        self._step = histogram("vllm:iteration_tokens_total", "Tokens of a step.", _STEP)

        # Not vLLM's: what the KV transfers cost.
        moved = Counter("din_kv_transfer_bytes", "KV bytes.", ["direction"], registry=self._registry)
        self._kv_bytes = {name: moved.labels(direction=name) for name in ("sent", "received")}
        self._kv_seconds = Histogram(
            "din_kv_transfer_seconds",
            "From the request for KV bytes to the last.",
            buckets=_TTFT,
            registry=self._registry,
        )
        self._kv_failures = Counter(
            "din_kv_transfer_failures",
            "Prompts computed here since no prefill server did.",
            registry=self._registry,
        )

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)

    def stepped(self, step: Step) -> None:
        """A batch has ended."""
        if step.prompt_tokens:
            self._prompt.inc(step.prompt_tokens)
        if step.preempted:
            self._preemptions.inc(len(step.preempted))
        if step.emitted:
            self._generated.inc(len(step.emitted))
        if tokens := step.prompt_tokens + len(step.emitted):
            self._step.observe(tokens)
        for sequence in step.emitted:
            if sequence.generated > 1:
                self._gap.observe(sequence.gap)
            else:
                assert sequence.first_token is not None
                self._ttft.observe(sequence.first_token - sequence.arrived)

    def finished(self, times: Times, sequence: Sequence, reason: str) -> None:
        """A request has had its last token."""
        generated = sequence.generated
        self._success[reason].inc()
        self._e2e.observe(times.e2e)
        self._queue.observe(times.queue)
        self._prefill.observe(times.prefill)
        self._decode.observe(times.decode)
        self._inference.observe(times.inference)
        if generated > 1:
            self._tpot.observe(times.decode / (generated - 1))
        self._prompts.observe(sequence.prompt_tokens)
        self._answers.observe(generated)
        self._longest.observe(generated)
        self._asked.observe(sequence.max_tokens)
        self._n.observe(1)

    def aborted(self) -> None:
        self._success["abort"].inc()

    def kv_sent(self, size: int) -> None:
        self._kv_bytes["sent"].inc(size)

    def kv_received(self, size: int, seconds: float) -> None:
        """A whole transfer is here."""
        self._kv_bytes["received"].inc(size)
        self._kv_seconds.observe(seconds)

    def kv_failed(self) -> None:
        self._kv_failures.inc()


def _one_two_five(most: int) -> list[float]:
    """1, 2, 5, 10, 20, ... up to ``most``."""
    decades = (mantissa * 10**power for power in range(len(str(most))) for mantissa in (1, 2, 5))
    return [each for each in decades if each <= most]
