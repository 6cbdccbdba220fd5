# SPDX-License-Identifier: Apache-2.0
"""Everything that is known, as Prometheus' text: the network's metrics and inference's side by side.

Labels are names of the model, classes, reasons and queues: as many series as the model has things. Times are
in seconds. What is not known has no series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from din.measure.cats import scores
from din.measure.state import Measured
from din.steering.plan import Plan, Route

from .directory import UNKNOWN
from .tally import Histogram
from .telemetry import Telemetry

_US: Final = 1e-6


@dataclass(frozen=True)
class SwitchHealth:
    """What the controller knows of a switch."""

    name: str
    connected: bool
    primary: bool
    pending: int  # entries that are to be there and are not yet


def render(
    telemetry: Telemetry,
    measured: Measured,
    plan: Plan,
    switches: Iterable[SwitchHealth] = (),
    uptime: float = 0.0,
    revision: int = 0,
) -> bytes:
    """Text format 0.0.4, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(telemetry, measured, plan, tuple(switches), uptime, revision))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(
        self,
        telemetry: Telemetry,
        measured: Measured,
        plan: Plan,
        switches: tuple[SwitchHealth, ...],
        uptime: float,
        revision: int,
    ) -> None:
        self._telemetry = telemetry
        self._measured = measured
        self._plan = plan
        self._switches = switches
        self._uptime = uptime
        self._revision = revision

    def collect(self) -> Iterator[Metric]:
        yield from self._controller()
        yield from self._reports()
        yield from self._network()
        yield from self._tokens()
        yield from self._instances()
        yield from self._steering()

    def _controller(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("din_controller_uptime_seconds", "Since the process started", self._uptime)
        yield GaugeMetricFamily("din_model_revision", "Revision in force", self._revision)
        connected = _gauge("din_switch_connected", "1: its P4Runtime server answers", "switch")
        primary = _gauge("din_switch_primary", "1: this controller is the one that writes", "switch")
        pending = _gauge("din_switch_pending_entries", "Entries that are not in the switch yet", "switch")
        for each in self._switches:
            connected.add_metric([each.name], each.connected)
            primary.add_metric([each.name], each.primary)
            pending.add_metric([each.name], each.pending)
        yield from (connected, primary, pending)

    def _reports(self) -> Iterator[Metric]:
        telemetry, directory = self._telemetry, self._telemetry.directory
        tally = telemetry.tally
        received = _counter("din_reports_received", "Telemetry reports' datagrams", "switch", "collector")
        lost = _counter("din_reports_lost", "Reports whose numbers are missing", "switch", "collector")
        again = _counter("din_report_streams_restarted", "Numbers began anew", "switch", "collector")
        found: dict[tuple[str, str], list[int]] = {}
        for (node, hw_id), stream in telemetry.sequences.streams.items():
            name = directory.node(node), directory.collectors.get(hw_id, UNKNOWN)
            sums = found.setdefault(name, [0, 0, 0])
            for place, value in enumerate((stream.received, stream.lost, stream.restarts)):
                sums[place] += value
        if telemetry.tally.strangers:
            received.add_metric([UNKNOWN, UNKNOWN], telemetry.tally.strangers)
        for name, sums in found.items():
            for family, value in zip((received, lost, again), sums, strict=True):
                family.add_metric(name, value)
        malformed = _counter("din_reports_malformed", "Datagrams that contradict themselves", "reason")
        for reason, n in tally.malformed.items():
            malformed.add_metric([reason], n)
        spans = _counter("din_spans_received", "Spans of requests", "instance")
        for instance, n in tally.spans.items():
            spans.add_metric([instance], n)
        yield from (received, lost, again, malformed, spans)

    def _network(self) -> Iterator[Metric]:
        tally, wiring = self._telemetry.tally, self._telemetry.directory.wiring
        drops = _counter("din_drop_reports", "Reported drops: a sample, limited by rate", "switch", "reason")
        for drop, n in tally.drops.items():
            drops.add_metric(drop, n)
        congestion = _counter(
            "din_congestion_reports", "Reports of congested queues: a sample", "switch", "queue"
        )
        for where, n in tally.congestion.items():
            congestion.add_metric(where, n)
        up = _gauge("din_link_up", "1: both ends are, and probes arrive", "src", "src_port", "dst")
        extra = _gauge(
            "din_link_extra_latency_seconds", "Queueing and serialisation, by INT", "src", "src_port", "dst"
        )
        for hop in wiring.hops:
            state = self._measured.link(hop.key)
            name = [hop.src, str(hop.src_port), hop.dst]
            up.add_metric(name, state.up)
            if state.latency is not None:
                extra.add_metric(name, state.latency * _US)
        path = _gauge(
            "din_path_latency_seconds",
            "Of a route: propagation, and what was measured beyond it",
            *("direction", "leaf", "service", "instance", "class", "label", "to"),
        )
        instances = self._telemetry.directory.model.instance
        for (leaf, name_, class_, label), route in self._plan.routes.items():
            service = instances[name_].service if name_ in instances else UNKNOWN
            path.add_metric(["request", leaf, service, name_, class_, label, ""], self._latency(route))
        for (leaf, service, class_, label, to), route in self._plan.responses.items():
            path.add_metric(["response", leaf, service, "", class_, label, to], self._latency(route))
        yield from (drops, congestion, up, extra, path)

    def _latency(self, route: Route) -> float:
        extra = sum(self._measured.link(hop.key).latency or 0.0 for hop in route.hops)
        return (route.base_latency + extra) * _US

    def _tokens(self) -> Iterator[Metric]:
        tally = self._telemetry.tally
        yield _histograms(
            "din_time_to_first_token_seconds",
            "From a request's last segment to its first token, as the leaves saw it",
            tally.ttft,
            *("service", "place"),
        )
        yield _histograms(
            "din_time_to_first_token_network_seconds",
            "Of it, what request and response took between the client's leaf and the server's",
            tally.network,
            "service",
        )
        yield _histograms(
            "din_token_gap_seconds",
            "Between segments of tokens, as the leaves saw them",
            tally.gaps,
            *("service", "place"),
        )

    def _instances(self) -> Iterator[Metric]:
        model = self._telemetry.directory.model
        labels = ("instance", "service", "variant")
        alive = _gauge("din_instance_up", "1: alive, 0: dead", *labels)
        watched = _gauge(
            "din_instance_watched", "0: no probe reaches it, its connection attempts alone are known", *labels
        )
        cats = _gauge(
            "din_instance_cats_score", "CATS' normalised metrics, 0 to 10, the best", *labels, "metric"
        )
        flight = _gauge("din_instance_connections", "In flight, as the switches count them", *labels)
        loads = {
            "running": _gauge("din_instance_requests_running", "Requests that it runs", *labels),
            "waiting": _gauge("din_instance_requests_waiting", "Requests in its queue", *labels),
            "kv_usage": _gauge("din_instance_kv_cache_usage_ratio", "Of its KV cache", *labels),
            "queue_time": _gauge("din_instance_queue_time_seconds", "Mean of the last 2 s", *labels),
            "prefill_time": _gauge("din_instance_prefill_time_seconds", "Mean of the last 2 s", *labels),
            "ttft": _gauge(
                "din_instance_time_to_first_token_seconds", "Its own, mean of the last 2 s", *labels
            ),
            "tpot": _gauge("din_instance_time_per_output_token_seconds", "Mean of the last 2 s", *labels),
        }
        for instance in model.instances:
            state = self._measured.instance(instance.name)
            name = [instance.name, instance.service, instance.variant]
            if state.alive is not None:
                alive.add_metric(name, state.alive)
            watched.add_metric(name, state.watched)
            if state.connections is not None:
                flight.add_metric(name, state.connections.in_flight)
            for field, family in loads.items():
                value = getattr(state.load, field, None)
                if value is not None:
                    family.add_metric(name, value)
            found = scores(state, model.service[instance.service].slo, slots=instance.slots)
            for metric, score in (
                ("compute_norm", found.compute),
                ("service_norm", found.service),
                ("norm_fi", found.overall),
            ):
                if score is not None:
                    cats.add_metric([*name, metric], score)
        yield from (alive, watched, cats, flight, *loads.values())

    def _steering(self) -> Iterator[Metric]:
        shares = _gauge(
            "din_steering_share",
            "Of an aggregate's new connections",
            *("leaf", "service", "tenant", "class", "label", "instance"),
        )
        for each, decision in self._plan.decisions.items():
            name = [each.leaf, each.service, each.tenant, each.traffic_class, each.label]
            for instance, share in decision.shares.items():
                shares.add_metric([*name, instance], share)
        arrivals = _gauge("din_arrivals_per_second", "New connections", "leaf", "service")
        for (leaf, service), rate in self._measured.arrivals.items():
            arrivals.add_metric([leaf, service], rate)
        yield from (shares, arrivals)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=labels)


def _histograms(
    name: str, text: str, found: Mapping[tuple[str, ...], Histogram], *labels: str
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in found.items():
        count = 0
        buckets: list[tuple[str, float]] = []
        for bound, n in zip((*map(_bound, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            count += n
            buckets.append((bound, count))
        family.add_metric(values, buckets, histogram.total)
    return family


def _bound(value: float) -> str:
    return f"{value:.6g}"
