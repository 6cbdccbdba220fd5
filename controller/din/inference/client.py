# SPDX-License-Identifier: Apache-2.0
"""The `openai` client, each of whose requests is steered by itself.

Steering is by connection: whatever is asked over one goes where its first packet went. `openai`'s clients
keep theirs where they can, so that all but the first few requests stay with the instances that were best when
the application started. These open one for each request and close it with the answer: one round trip more,
and each request goes where it is best answered now. A retry, too, may reach another instance.

    from din.inference import Client
    client = Client(base_url="http://chat.example/v1", api_key="none")
    client.chat.completions.create(...)

So the network chooses, knowing nothing of the session. Where the environment names a proxy (HTTP_PROXY) it is
the proxy's connections that it steers: have NO_PROXY name the service.

With ``steering=ControllerSteering(...)`` each connection asks the controller first, and goes to the instance
that it names, by a session cookie in the DIN option: see `steering`. Proxies of the environment are not used
then. How a connection was marked is said by its response:

    raw = client.chat.completions.with_raw_response.create(...)
    raw.http_response.extensions["network_stream"].get_extra_info("din_marking")
"""

from __future__ import annotations

from typing import Any, Final

import httpx2
import openai

from .dialling import AsyncTransport, Transport
from .steering import ControllerSteering

_MOST: Final = openai.DEFAULT_CONNECTION_LIMITS.max_connections
#: `openai`'s own limits, but that nothing is kept.
_EACH_ITS_OWN: Final = httpx2.Limits(max_connections=_MOST, max_keepalive_connections=0)
_EITHER: Final = "steering= takes connections of its own: http_client= and it exclude each other"


class Client(openai.OpenAI):
    """As `openai.OpenAI`, its arguments included. An ``http_client`` of one's own decides for itself."""

    def __init__(self, *, steering: ControllerSteering | None = None, **options: Any) -> None:
        if options.get("http_client") is None:
            transport = Transport(steering, _MOST) if steering else None
            options["http_client"] = openai.DefaultHttpx2Client(limits=_EACH_ITS_OWN, transport=transport)
        elif steering:
            raise ValueError(_EITHER)
        super().__init__(**options)


class AsyncClient(openai.AsyncOpenAI):
    """As `openai.AsyncOpenAI`, its arguments included. An ``http_client`` of one's own decides for itself."""

    def __init__(self, *, steering: ControllerSteering | None = None, **options: Any) -> None:
        if options.get("http_client") is None:
            transport = AsyncTransport(steering, _MOST) if steering else None
            options["http_client"] = openai.DefaultAsyncHttpx2Client(
                limits=_EACH_ITS_OWN, transport=transport
            )
        elif steering:
            raise ValueError(_EITHER)
        super().__init__(**options)
