# SPDX-License-Identifier: Apache-2.0
"""A gRPC server that lets controllers program devices over P4Runtime.

```python
def compile_pushed(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
    return compile_program(json, "pushed", p4info)

server = P4RuntimeServer([device], compile_pushed, "127.0.0.1:9559")
with server:
    server.wait()
```
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import grpc
from finsy.proto import p4i, p4r

from p4jit.p4runtime.controlled import ControlledDevice
from p4jit.p4runtime.pipeline import Compile
from p4jit.p4runtime.service import MAX_STREAMS, P4RuntimeService
from p4jit.p4runtime.status import P4Error
from p4jit.target.interface import DeviceInterface

#: The pool makes threads when it needs them: one a stream, and one a request under way.
_THREADS = MAX_STREAMS + 64
_OPTIONS = (
    # Pipelines are megabytes, batches can be: the specification asks for more than gRPC's 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers on one port would share its clients between them.
    ("grpc.so_reuseport", 0),
)


class ServerError(Exception):
    """The server cannot listen; says where and why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM-encoded. With ``client_ca``, clients must show a certificate signed by it (mutual TLS)."""

    key: bytes
    certificate: bytes
    client_ca: bytes | None = None


class P4RuntimeServer:
    """Serves one or more devices, told apart by their ids, at ``address`` ("host:port"; port 0 picks one).

    ``compile_program`` turns the JSON and P4Info that a controller pushes into a program. The devices stay
    the caller's: they are not closed. Raises ValueError for device ids that are not distinct. Id 0, which is
    simple_switch_grpc's default, is taken, though from P4Runtime 1.5 on it stands for no device.
    """

    def __init__(
        self,
        devices: Iterable[DeviceInterface],
        compile_program: Compile,
        address: str = "0.0.0.0:9559",
        tls: Tls | None = None,
    ) -> None:
        self._controlled: dict[int, ControlledDevice] = {}
        for device in devices:
            if device.device_id in self._controlled:
                raise ValueError(f"two devices have the id {device.device_id}")
            self._controlled[device.device_id] = ControlledDevice(device)
        self._service = P4RuntimeService(self._controlled, compile_program)
        self._address = address
        self._tls = tls
        self._server: grpc.Server | None = None
        self._stopped = threading.Event()
        #: The port it listens on, once started.
        self.port = 0

    def start(self) -> None:
        """Raises ServerError."""
        server = grpc.server(ThreadPoolExecutor(_THREADS, "p4runtime"), options=_OPTIONS)
        server.add_generic_rpc_handlers((self._service.handlers(),))
        try:
            if self._tls is None:
                self.port = server.add_insecure_port(self._address)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(self._tls.key, self._tls.certificate)],
                    root_certificates=self._tls.client_ca,
                    require_client_auth=self._tls.client_ca is not None,
                )
                self.port = server.add_secure_port(self._address, credentials)
        except RuntimeError as error:
            raise ServerError(f"cannot listen on {self._address}: {error}") from None
        server.start()
        self._server = server
        for device in self._controlled.values():
            device.start()

    def install(
        self, device_id: int, p4info: p4i.P4Info, device_config: bytes, cookie: int | None = None
    ) -> None:
        """Run a pipeline that no controller pushed. Raises P4Error."""
        config = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=device_config)
        if cookie is not None:
            config.cookie.cookie = cookie
        self._service.install(device_id, config)

    def stop(self, grace: float = 1.0) -> None:
        """End the streams, let running requests finish for ``grace`` seconds, and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        self._service.close_streams(P4Error(grpc.StatusCode.UNAVAILABLE, "the server is shutting down"))
        server.stop(grace).wait()
        for device in self._controlled.values():
            device.stop()
        for device in self._controlled.values():
            device.join()
        self._stopped.set()

    def wait(self) -> None:
        """Until another thread stops the server."""
        self._stopped.wait()

    def __enter__(self) -> P4RuntimeServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
