# SPDX-License-Identifier: Apache-2.0
"""A model server for test beds: vLLM's interfaces, continuous batching in real time, and no model.

Run one with ``python -m din.inference.server --name fra-8b --served-model llama --profile JSON``; ``--help``
lists the rest. When it listens, it prints one line of JSON on stdout (`server.Server.ready`):
``{"ready": NAME, "listen": ["ADDR:PORT", ...], "kv": ["ADDR:PORT", ...], "pid": N}``.

What it serves:
  POST /v1/chat/completions, /v1/completions   OpenAI's; streaming sends headers as soon as it is admitted
  GET  /v1/models /health /metrics             as vLLM's, names included; own metrics are din_kv_transfer_*
  POST /admin/slowdown {"factor": 4}, POST /admin/reset, GET /admin/state    on --admin addresses alone

Its parts, in the order data walks:
  `http1`      asyncio.Protocol + h11: requests in, chunks out
  `api`        OpenAI's JSON: parsed to a `Completion`, or an `ApiError`
  `scheduler`  the batch, pure: `Scheduler.step(now)`, in virtual or real time
  `engine`     the scheduler in real time
  `service`    paths and what answers on them    `generation`  one request to its last chunk
  `kv`         KV transfers: real bytes over TCP      `remote`  asks a prefill server first
  `metrics`, `spans`   what is told of it          `server`, `options`  the process

A token is four bytes of text (`tokens`), times 1 / byte scale: --scale-bytes here and the load's must agree.
A request has one prompt and one answer (``n`` 1), of words that mean nothing: what shapes their choice
(temperature, tools, logprobs) is taken and does nothing; max_tokens and stop end it as they should.
"""
