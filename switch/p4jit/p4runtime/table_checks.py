# SPDX-License-Identifier: Apache-2.0
"""What P4Runtime demands of an entry's fields, match and action aside (P4Runtime 1.4.1, "TableEntry")."""

from __future__ import annotations

from finsy.proto import p4r

from p4jit.p4runtime.meters import decode_counter, decode_meter, refuse_meter_counters
from p4jit.p4runtime.objects import TableSchema
from p4jit.p4runtime.status import denied, invalid
from p4jit.target.interface import CounterValue, MeterRates


class TableChecks:
    """For the entries of one table. Everything raises P4Error."""

    def __init__(self, schema: TableSchema) -> None:
        self._schema = schema

    def check_mutable(self, entry: p4r.TableEntry) -> None:
        if self._schema.const:
            raise denied(f"table {self._schema.name} is const")
        if entry.is_const:
            raise invalid("is_const must not be set in an update")

    def check_default(self, entry: p4r.TableEntry) -> None:
        if entry.match or entry.priority:
            raise invalid("the default entry has neither match nor priority")
        if entry.idle_timeout_ns or entry.HasField("time_since_last_hit"):
            raise invalid("the default entry has no idle timeout")

    def priority(self, entry: p4r.TableEntry) -> int:
        priority = entry.priority
        if self._schema.prioritized:
            if priority <= 0:
                raise invalid(f"entries of table {self._schema.name} need a priority above 0")
        elif priority:
            raise invalid(
                f"table {self._schema.name} has no ternary, range or optional field: priority must be 0"
            )
        return priority

    def timeout(self, entry: p4r.TableEntry) -> int:
        timeout = entry.idle_timeout_ns
        if entry.HasField("time_since_last_hit"):
            raise invalid("time_since_last_hit cannot be written")
        if timeout and not self._schema.idle_timeout:
            raise invalid(f"table {self._schema.name} does not support idle timeouts")
        if timeout < 0:
            raise invalid("idle_timeout_ns cannot be negative")
        return timeout

    def take_direct(self, entry: p4r.TableEntry) -> tuple[CounterValue | None, MeterRates | None]:
        """The direct resources to write; they are removed from ``entry``."""
        counter = meter = None
        if entry.HasField("counter_data"):
            if self._schema.counter is None:
                raise invalid(f"table {self._schema.name} has no direct counter")
            counter = decode_counter(entry.counter_data)
            entry.ClearField("counter_data")
        if entry.HasField("meter_config"):
            if self._schema.meter_spec is None:
                raise invalid(f"table {self._schema.name} has no direct meter")
            meter = decode_meter(entry.meter_config, self._schema.meter_spec)
            entry.ClearField("meter_config")
        if entry.HasField("meter_counter_data"):
            refuse_meter_counters()
        return counter, meter

    def check_default_query(self, query: p4r.TableEntry) -> None:
        if query.match or query.priority or query.idle_timeout_ns:
            raise invalid("the default entry has no match, priority or idle timeout")
        if query.HasField("time_since_last_hit"):
            raise invalid("the default entry has no idle timeout")
