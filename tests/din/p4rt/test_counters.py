# SPDX-License-Identifier: Apache-2.0
"""What switches count, read in one go."""

from __future__ import annotations

import pytest
from din.p4rt.counters import Count, read_counters
from finsy.proto import p4r

from tests.din.p4rt.fleets import controller
from tests.din.p4rt.switches import target

VALUES = {0: (3, 300), 77: (5, 0), 255: (1 << 40, 1 << 50)}


async def test_counters_are_read_whole_or_by_index(address: str) -> None:
    async with controller(target(address)) as (fleet, _):
        connection = fleet.connection("leaf1")
        await connection.primary()
        request = p4r.WriteRequest()
        for index in range(256):
            entry = request.updates.add(type=p4r.Update.MODIFY).entity.counter_entry
            entry.counter_id = connection.program.counters["drops"].id
            entry.index.index = index
            entry.data.packet_count, entry.data.byte_count = VALUES.get(index, (0, 0))
        await connection.write(request)
        expected = {index: Count(*value) for index, value in VALUES.items()}
        found = await read_counters(connection, {"drops": None})
        assert found == {"drops": expected}, "what is 0 is left out"
        found = await read_counters(connection, {"drops": [77, 78]})
        assert found == {"drops": {77: expected[77], 78: Count(0, 0)}}, "unless it is asked for"
        both = await read_counters(connection, {"drops": [0], "connections": None})
        assert both == {"drops": {0: expected[0]}, "connections": {}}
        assert await read_counters(connection, {"drops": []}) == {"drops": {}}
        with pytest.raises(ValueError, match=r"no counter 'drop'; it has .*drops"):
            await read_counters(connection, {"drop": None})
        with pytest.raises(ValueError, match="drops has indices 0 to 255, not 256"):
            await read_counters(connection, {"drops": [256]})
