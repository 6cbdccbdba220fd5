# SPDX-License-Identifier: Apache-2.0
"""Load: schedules of requests, the process that sends them, and what came of it.

    arrivals   schedule(comparison, site, seed) -> list[Request]; boundaries(comparison) -> (phase, from, to)
    traces     read_mooncake, read_azure, read_burstgpt, scaled(trace, rate=, lengths=)
    replay     replay(trace, service) -> list[Request]; also python -m din.inference.load.replay
    request    Request, write_schedule, read_schedule: the file a generator is given
    prompt     prompt(request, byte_scale); the server counts back with din.inference.server.tokens.count
    outcome    Outcome, Generator, read_run(paths): the file a generator writes
    summary    python -m din.inference.load.summary: a run's figures on a terminal
    stats      table(outcomes, slos, seconds), summarise, goodput, percentile, paired, why_void, ttft, tpot

``python -m din.inference.load`` is the generator: exchange (one request, by the `openai` client), choice (who
picks the instance), generator (the open loop). A trace against any OpenAI-compatible server:

    python -m din.inference.load.replay mooncake conversation_trace.jsonl --service chat --out schedule
    python -m din.inference.load --schedule schedule --model chat=NAME --base-url chat=URL --out run
    python -m din.inference.load.summary run --slo chat=800ms,50ms
"""
