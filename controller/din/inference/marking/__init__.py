# SPDX-License-Identifier: Apache-2.0
"""Saying what a connection is: the DIN option where it may be set, the host agent where not, DSCP else.

mark, refresh, Marking, How   set it, keep it true, what came of it
moved                         to another socket object, as TLS makes them
Keyring                       numbers of names, and keys that sign
Claim                         what is said

    sock = socket.socket(socket.AF_INET6)
    marking = mark(sock, peer=("2001:db8::1", 8000), tenant="acme", service="chat", deadline_ms=300)
    sock.connect(("2001:db8::1", 8000))

The network steers connections: of TCP it is the first packet that decides where all others go. So mark before
`connect`, and say with ``peer`` where it will lead.
"""

from __future__ import annotations

from .claim import Claim
from .keyring import Keyring
from .sockets import How, Marking, mark, moved, refresh

__all__ = ["Claim", "How", "Keyring", "Marking", "mark", "moved", "refresh"]
