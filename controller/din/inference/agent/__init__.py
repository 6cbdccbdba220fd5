# SPDX-License-Identifier: Apache-2.0
"""The host's agent: sets the DIN option of processes that may not, as far as its policy lets them.

    python -m din.inference.agent --config /etc/din/agent.yaml

It alone has CAP_NET_RAW and the tenant's keys. `config` has its file, `policy` who may claim what, `server`
the Unix socket; `din.inference.marking.request` is what it is asked. It keeps no socket: one that it kept
would not be closed when its process closes it. So processes ask again when an epoch begins, and the agent may
be restarted at any time.
"""
