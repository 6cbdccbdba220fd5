# SPDX-License-Identifier: Apache-2.0
"""Load: schedules of requests, the process that sends them, and what came of it.

    arrivals   schedule(comparison, site, seed) -> list[Request]; boundaries(comparison) -> (phase, from, to)
    traces     read_mooncake, read_azure, read_burstgpt, scaled(trace, rate=, lengths=)
    replay     replay(trace, service) -> list[Request]; also python -m din.inference.load.replay
    request    Request, write_schedule, read_schedule: the file a generator is given
    prompt     prompt(request, byte_scale); the server counts back with din.inference.server.tokens.count
    outcome    Outcome, Generator, read_run(paths): the file a generator writes
    stats      table(outcomes, slos, seconds), summarise, goodput, percentile, paired, why_void, ttft, tpot

``python -m din.inference.load`` is the generator: exchange (one request, by the `openai` client), choice (who
picks the instance), generator (the open loop).
"""
