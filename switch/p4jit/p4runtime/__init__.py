# SPDX-License-Identifier: Apache-2.0
"""P4Runtime 1.4.1 over gRPC for any `p4jit.target.interface.DeviceInterface`."""

from p4jit.p4runtime.pipeline import Compile
from p4jit.p4runtime.server import P4RuntimeServer, ServerError, Tls
from p4jit.p4runtime.status import P4Error

__all__ = ["Compile", "P4Error", "P4RuntimeServer", "ServerError", "Tls"]
