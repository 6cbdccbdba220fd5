# SPDX-License-Identifier: Apache-2.0
"""The `openai` client, each of whose requests the network steers.

The network steers connections: whatever is asked over one goes where its first packet went. `openai`'s
clients keep theirs where they can, so that all but the first few requests stay with the instances that were
best when the application started. These open one for each request and close it with the answer: one round
trip more, and each request goes where it is best answered now. A retry, too, may reach another instance.

    from din.inference import Client
    client = Client(base_url="http://chat.example/v1", api_key="none")
    client.chat.completions.create(...)
"""

from __future__ import annotations

from typing import Any, Final

import httpx2
import openai

#: `openai`'s own limits, but that nothing is kept.
_EACH_ITS_OWN: Final = httpx2.Limits(
    max_connections=openai.DEFAULT_CONNECTION_LIMITS.max_connections, max_keepalive_connections=0
)


class Client(openai.OpenAI):
    """As `openai.OpenAI`, its arguments included. An ``http_client`` of one's own decides for itself."""

    def __init__(self, **options: Any) -> None:
        if options.get("http_client") is None:
            options["http_client"] = openai.DefaultHttpx2Client(limits=_EACH_ITS_OWN)
        super().__init__(**options)


class AsyncClient(openai.AsyncOpenAI):
    """As `openai.AsyncOpenAI`, its arguments included. An ``http_client`` of one's own decides for itself."""

    def __init__(self, **options: Any) -> None:
        if options.get("http_client") is None:
            options["http_client"] = openai.DefaultAsyncHttpx2Client(limits=_EACH_ITS_OWN)
        super().__init__(**options)
