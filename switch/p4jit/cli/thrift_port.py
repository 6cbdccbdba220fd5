# SPDX-License-Identifier: Apache-2.0
"""The port of ``--thrift-port``. bmv2's Mininet classes take its opening for the switch's being ready, so it
opens; Thrift itself is not served, so every connection is closed at once."""

from __future__ import annotations

import socket
import threading


class ThriftPort:
    """Open, on the loopback interface, from construction to `close`. Raises OSError if it is in use."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._turn_away, name="thrift-port", daemon=True)
        self._thread.start()

    def _turn_away(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.close()

    def close(self) -> None:
        # close() alone leaves a thread blocked in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
