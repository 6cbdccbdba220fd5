# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.din.testbed.bmv2_life FILE STATE``, in a sandbox: a network of bmv2 switches comes up,
serves, and loses a link that it serves over. What was seen is the last line of stdout, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from din.model.load import load
from din.model.topology import Target
from din.testbed.testbed import Testbed

_SECONDS = 30.0
_URL = "http://chat.din.example:8000/v1"
#: By the openai client; what it gets comes as fast as it is made.
_CLIENT = """
import json, sys, time, httpx, openai
def ask():
    one_each = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
    options = {"max_retries": 0, "timeout": 10, "http_client": one_each}
    client = openai.OpenAI(base_url=sys.argv[1], api_key="none", **options)
    began = time.monotonic()
    question = {"role": "user", "content": "Tell me more."}
    answer = client.chat.completions.create(model="llama-3", messages=[question], max_tokens=10, stream=True)
    text = [each.choices[0].delta.content for each in answer if each.choices]
    chunks = len([each for each in text if each])
    print(json.dumps({"at": began, "chunks": chunks, "seconds": time.monotonic() - began}), flush=True)
ask()
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    ask()
"""


def until(condition: Callable[[], Any]) -> float:
    """How long it took. TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _SECONDS:
            raise TimeoutError
        time.sleep(0.02)
    return time.monotonic() - began


def main(file: Path, state: Path) -> None:
    seen: dict[str, Any] = {}
    with Testbed(load(file), file, state, Target.BMV2) as bed:
        bed.start(lambda what, done, total: None)
        seen["targets"] = sorted({each.target for each in bed.client.status().switches})

        def down() -> list[str]:
            return sorted(f"{each.src} {each.dst}" for each in bed.client.status().links if not each.up)

        asking = bed.emulation.run("client", [sys.executable, "-c", _CLIENT, _URL, "4"], "asking")
        until(lambda: asking.log.read_text())
        seen["cut"] = time.monotonic()
        bed.emulation.set_link("leaf-1", "core-1", False)
        seen["noticed"] = until(lambda: len(down()) >= 2)
        seen["down"] = down()
        bed.emulation.set_link("leaf-1", "core-1", True)
        seen["mended"] = until(lambda: not down())
        asking.wait(_SECONDS)
        seen["answers"] = [json.loads(each) for each in asking.log.read_text().splitlines()]
        seen["failures"] = bed.emulation.failures()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
