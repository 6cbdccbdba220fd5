# SPDX-License-Identifier: Apache-2.0
"""What switches and servers tell: Telemetry Reports and spans -> measurements, latencies, metrics.

    telemetry   Telemetry: all of it; `async with telemetry.running()`
    exporter    render(): Prometheus' text of it and of what the controller knows

    receiver    sockets: reports over UDP, spans over OTLP/HTTP            (the only I/O beside journal)
    decode      datagrams -> columns        words, bitmaps, quoted: how they are read, many at once
    sequences   what was lost
    directory   numbers -> names
    hops        INT -> `Measurements.network.observe`
    ttft        token reports of both leaves, and spans -> responses
    split       responses -> network, queue, compute
    facts       one thing at a time, for subscribers and the journal (JSON lines)
    tally       counts and histograms for the exporter

A controller does:

    telemetry = Telemetry(model, ids, wiring, measurements)
    async with telemetry.running():
        telemetry.set(model, ids, wiring)          # another revision
        telemetry.received, telemetry.lost         # reports
        telemetry.latency(since)                   # Unix time -> dict for JSON, us
        leave = telemetry.subscribe(print)
        render(telemetry, measured, plan, switches)  # Prometheus
"""

from .exporter import SwitchHealth, render
from .telemetry import Telemetry

__all__ = ["SwitchHealth", "Telemetry", "render"]
