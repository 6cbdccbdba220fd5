# SPDX-License-Identifier: Apache-2.0
"""A test bed whose switches are also read past its controller, and whose hosts talk. In a sandbox."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from din.api.schema import InstanceStatus, ModelText, SwitchStatus
from din.model.load import load
from din.p4rt.canonical import show
from din.p4rt.channel import Channel, TlsFiles
from din.p4rt.codec import Codec
from din.p4rt.entry import AnyKey, State
from din.p4rt.program import default_program
from din.testbed.testbed import Testbed
from finsy.proto import p4r
from pydantic import BaseModel

TALK: Final = Path(__file__).with_name("talk.py")
STREAMS: Final = Path(__file__).with_name("streams.py")
SECONDS: Final = 10.0
UDP_INTERVAL: Final = 0.002
UDP_PORT: Final = 7000

States = dict[str, State]


class Talk:
    """A `talk.py` or `streams.py` in a host, and what it has said until now."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self._new = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._new:
                self.said.append(json.loads(line))
                self._new.notify_all()

    def wait(self, condition: Callable[[list[dict[str, Any]]], Any], seconds: float = SECONDS) -> None:
        """Until a condition of all that was said holds. TimeoutError."""
        with self._new:
            if not self._new.wait_for(lambda: condition(self.said), seconds):
                raise TimeoutError(f"{self.process.args!r}: {self.said}")

    def line(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> list[dict[str, Any]]:
        """Ask it to end; all that it said."""
        self.process.terminate()
        return self.done()

    def done(self, seconds: float = SECONDS) -> list[dict[str, Any]]:
        self.process.wait(seconds)
        self._reader.join()
        return self.said


class Bed:
    def __init__(self, file: Path, state: Path) -> None:
        self.file = file
        self.text = file.read_text()
        self.state = state
        self.testbed = Testbed(load(file), file, state)
        self.program = default_program()

    @property
    def model_text(self) -> ModelText:
        return ModelText(text=self.text, file=str(self.file))

    def edited(self, *edits: tuple[str, str]) -> ModelText:
        """The model with some of its text replaced. ValueError: that is not there."""
        text = self.text
        for old, new in edits:
            if old not in text:
                raise ValueError(f"{self.file} has no {old!r}")
            text = text.replace(old, new)
        return ModelText(text=text, file=str(self.file))

    def without(self, service: str) -> ModelText:
        """The model without a service and what belongs to it."""
        model = yaml.safe_load(self.text)
        for part in ("services", "instances"):
            key = "name" if part == "services" else "service"
            model[part] = [each for each in model[part] if each[key] != service]
        model["telemetry"]["watch"] = []
        return ModelText(text=yaml.safe_dump(model), file=str(self.file))

    def post(self, what: str, body: BaseModel) -> tuple[int, Any]:
        """The status of an answer, and the answer."""
        transport = httpx.HTTPTransport(uds=str(self.state / "controller/controller.sock"))
        with httpx.Client(transport=transport, base_url="http://controller", timeout=60) as http:
            answer = http.post(f"/v1/{what}", json=body.model_dump())
            return answer.status_code, answer.json() if answer.content[:1] == b"{" else answer.text

    # ---- switches, past the controller ---------------------------------------------------------------------

    @property
    def tls(self) -> TlsFiles | None:
        tls, base = self.testbed.model.management.tls, self.file.parent
        return None if tls is None else TlsFiles(base / tls.ca, base / tls.certificate, base / tls.key)

    def read(self, *switches: str) -> States:
        """What switches have, all of them if none is named, by a reader that is nobody's primary."""

        async def read(address: str) -> State:
            codec, state = Codec(self.program), State()
            channel = Channel(address, self.tls)
            await channel.open()
            try:
                request = p4r.ReadRequest(device_id=1, entities=codec.everything())
                async for reply in channel.request_iter(request):
                    codec.decode_into(state, reply.entities)
            finally:
                await channel.close()
            return state

        async def read_all() -> States:
            addresses = self.testbed.emulation.addresses
            names = switches or tuple(addresses)
            found = await asyncio.gather(*(read(addresses[name]) for name in names))
            return dict(zip(names, found, strict=True))

        return asyncio.run(read_all())

    @contextmanager
    def watched(self) -> Iterator[list[States]]:
        """In the block, switches are read again and again."""
        found: list[States] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                found.append(self.read())
                over.wait(0.1)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()

    # ---- hosts ---------------------------------------------------------------------------------------------

    def talk(self, host: str, *arguments: str, program: Path = TALK) -> Talk:
        return Talk(
            self.testbed.emulation.node(host).popen(
                [sys.executable, str(program), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )

    def streams(self, count: int, tokens: int) -> Talk:
        """Of chat; all have begun."""
        url = "http://chat.din.example:8000/v1"
        found = self.talk("client", url, str(tokens), str(count), program=STREAMS)
        found.wait(lambda said: len(said) >= count)
        return found

    def connections(self, interval: float = 0.03) -> Talk:
        """To chat; at least one has been answered."""
        found = self.talk("client", "connect", "10.100.0.1", "8000", str(interval))
        found.wait(lambda said: said)
        return found

    # ---- waiting -------------------------------------------------------------------------------------------

    def instance(self, name: str) -> InstanceStatus:
        return next(each for each in self.testbed.client.status().instances if each.name == name)

    def switch(self, name: str) -> SwitchStatus:
        return next(each for each in self.testbed.client.status().switches if each.name == name)

    @staticmethod
    def until(condition: Callable[[], Any], seconds: float = SECONDS) -> float:
        """How long it took. TimeoutError: longer than ``seconds``."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise TimeoutError
            time.sleep(0.02)
        return time.monotonic() - began


def with_tls(text: str, folder: Path) -> str:
    """The model with TLS to all switches, and in ``folder`` what that needs: a CA, and a certificate of it
    that serves both sides.
    """

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    fresh = "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"
    openssl("req", "-x509", *fresh, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    openssl("req", *fresh, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=own")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    signed = "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-days", "2"
    openssl("x509", "-req", "-in", "own.csr", *signed, "-out", "own.pem")
    return text + "\nmanagement:\n  tls: {ca: ca.pem, certificate: own.pem, key: own.key}\n"


def differences(before: Mapping[str, State], after: Mapping[str, State]) -> list[str]:
    """Entries that are not the same, as people read them."""
    found = []
    for switch in sorted(before.keys() | after.keys()):
        was, now = before.get(switch, {}), after.get(switch, {})
        for key in changed_keys(was, now):
            found.append(f"{switch}: {show(key)}: {was.get(key)} -> {now.get(key)}")
    return found


def changed_keys(before: State, after: State) -> list[AnyKey]:
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]
