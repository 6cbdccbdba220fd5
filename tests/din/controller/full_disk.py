# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.din.controller.full_disk DISK RESULT`: a controller whose state directory is on a file
system that becomes full. RESULT gets what was seen.
"""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from din.api.client import Client
from din.api.schema import ApplyRequest, DrainRequest, ModelText, SteeringRequest
from din.model.load import load
from pydantic import BaseModel

from tests.din.p4rt.switches import free_address

FILE = Path(__file__).resolve().parents[3] / "topologies" / "skeleton.yaml"


def fill(folder: Path) -> None:
    """To the last byte."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def main(disk: str, result: str) -> None:
    state, outside = Path(disk) / "state", Path(result).parent
    addresses, log = outside / "addresses.json", outside / "log"
    addresses.write_text(json.dumps(dict.fromkeys(load(str(FILE)).switch, free_address())))
    argv = [sys.executable, "-m", "din.controller", str(FILE), "--state", str(state)]
    seen: dict[str, Any] = {}

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [*argv, "--addresses", str(addresses)], stdout=subprocess.PIPE, stderr=errors
            )
        assert process.stdout is not None
        seen["ready"] = process.stdout.readline().decode()
        return process

    def post(what: str, body: BaseModel) -> tuple[int, Any]:
        transport = httpx.HTTPTransport(uds=str(state / "controller.sock"))
        with httpx.Client(transport=transport, base_url="http://controller", timeout=30) as http:
            answer = http.post(f"/v1/{what}", json=body.model_dump())
            return answer.status_code, answer.json() if answer.content else None

    process = start()
    with Client(state) as client:
        fill(Path(disk))
        edited = ModelText(text=FILE.read_text() + "# edited\n", file=str(FILE))
        seen["apply"] = post("apply", ApplyRequest(model=edited))
        seen["drain"] = post("drain", DrainRequest(instance=client.status().instances[0].name))
        client.set_steering(SteeringRequest(instances="nearest", paths="shortest"))
        status = client.status()
        seen["choice"], seen["revision"] = status.instance_choice, status.revision
        seen["drained"] = [each.name for each in status.instances if each.drained]
        seen["revisions"] = [each.number for each in client.revisions()]
        seen["decided"] = [each.service for each in client.plan().decisions]
    process.send_signal(signal.SIGTERM)
    seen["stopped"] = process.wait(20)
    process = start()
    with Client(state) as client:
        seen["again"] = client.status().revision
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    seen["log"] = log.read_text()
    seen["left"] = [str(each) for each in state.rglob("*.new")]
    Path(result).write_text(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
