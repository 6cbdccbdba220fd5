# SPDX-License-Identifier: Apache-2.0
"""Gives a switch its program and entries over P4Runtime: the same calls whatever switch it is."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import grpc
from finsy.proto import p4r, p4r_grpc

from scripts.bench.workload import Workload

DEVICE_ID = 0
BATCH = 500


def configure(address: str, workload: Workload, timeout: float = 60.0) -> None:
    """Returns when the switch forwards. Raises TimeoutError, grpc.RpcError."""
    deadline = time.monotonic() + timeout
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout)
        except grpc.FutureTimeoutError:
            raise TimeoutError(f"nobody serves P4Runtime at {address}") from None
        stub = p4r_grpc.P4RuntimeStub(channel)
        requests: queue.SimpleQueue[p4r.StreamMessageRequest | None] = queue.SimpleQueue()
        election = p4r.Uint128(low=1)
        arbitration = p4r.MasterArbitrationUpdate(device_id=DEVICE_ID, election_id=election)
        requests.put(p4r.StreamMessageRequest(arbitration=arbitration))

        def outgoing() -> Iterator[p4r.StreamMessageRequest]:
            while (request := requests.get()) is not None:
                yield request

        stream = stub.StreamChannel(outgoing(), timeout=timeout)
        try:
            answer = next(iter(stream))
            if answer.arbitration.status.code != 0:
                raise OSError(f"{address}: not made primary: {answer.arbitration.status}")
            config = p4r.ForwardingPipelineConfig(
                p4info=workload.p4info, p4_device_config=workload.program.read_bytes()
            )
            stub.SetForwardingPipelineConfig(
                p4r.SetForwardingPipelineConfigRequest(
                    device_id=DEVICE_ID,
                    election_id=election,
                    action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                    config=config,
                ),
                timeout=deadline - time.monotonic(),
            )
            for at in range(0, len(workload.updates), BATCH):
                write = p4r.WriteRequest(
                    device_id=DEVICE_ID, election_id=election, updates=workload.updates[at : at + BATCH]
                )
                stub.Write(write, timeout=deadline - time.monotonic())
        finally:
            requests.put(None)
            stream.cancel()  # type: ignore[no-untyped-call]
