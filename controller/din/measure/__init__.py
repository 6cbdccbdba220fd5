# SPDX-License-Identifier: Apache-2.0
"""What servers and the network are doing, measured: CATS' service and network metric agents (C-SMA, C-NMA).

    state         Measured and its parts: all that steering is given. None is unknown, never 0
    store         Measurements: every feed ends here; `measured(at)` is an immutable Measured
    targets       the URLs of a model's instances, for the next two
    scrape        Scraper: asks servers for their metrics every 0.5 s, feeds `Measurements.load`
    probe         Prober: asks servers for their health every 0.4 s, feeds `Measurements.probed`
    servers       Reader: pages of a server -> Load
    vocabulary    what vLLM, SGLang, Triton and TensorRT-LLM call things
    exposition    Prometheus' text format and OpenMetrics
    health        Health: when an instance is dead, and when it is back; when only the way to all is lost
    connections   ConnectionCounts: the switches' counters -> connections in flight, arrivals, unanswered SYNs
    network       Network: INT's observations, port events and link probes -> LinkState
    cats          scores 0-10 for people and exporters
    http          Client: GET over HTTP/1.1
    schedule      Beats: a thing done for each of many, none waiting for another

A controller does about this:

    measurements = Measurements(model, ids, wiring)
    measurements.on_health = lambda instance: wake_up()
    async with Scraper(measurements.load) as scraper, Prober(measurements.probed) as prober:
        scraper.set(targets.metrics(wiring))
        prober.set(targets.health(wiring))
        …
        measurements.counters(switch, cells, clock())       # each switch, each 0.5 s
        measurements.read(clock())                          # then
        measurements.network.observe(hop.key, us, clock())  # telemetry, per hop of a report
        measurements.port_event(switch, port, up)           # P4Runtime's port events
        plan = decide(model, measurements.measured(clock()))

Only `scrape`, `probe`, `http` and `schedule` do I/O; all else is functions of what it is given, times
included. Times are the monotonic clock's, in seconds (`time.monotonic`).
"""
