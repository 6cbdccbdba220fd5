# SPDX-License-Identifier: Apache-2.0
"""Counter values and meter configurations as messages (P4Runtime 1.4.1, "CounterEntry", "MeterEntry")."""

from __future__ import annotations

from finsy.proto import p4i, p4r

from p4jit.p4runtime.status import invalid, unimplemented
from p4jit.target.interface import CounterValue, MeterRates


def decode_counter(data: p4r.CounterData) -> CounterValue:
    """Raises P4Error (INVALID_ARGUMENT)."""
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid("a counter's value cannot be negative")
    return CounterValue(data.packet_count, data.byte_count)


def encode_counter(value: CounterValue) -> p4r.CounterData:
    # The wire has 63 bits; the device counts modulo 2**64.
    ones = (1 << 63) - 1
    return p4r.CounterData(packet_count=value.packets & ones, byte_count=value.bytes & ones)


def decode_meter(config: p4r.MeterConfig, spec: p4i.MeterSpec) -> MeterRates:
    """Raises P4Error (INVALID_ARGUMENT; UNIMPLEMENTED for an excess burst)."""
    if min(config.cir, config.cburst, config.pir, config.pburst, config.eburst) < 0:
        raise invalid("a meter's rates and bursts cannot be negative")
    if spec.type == p4i.MeterSpec.TWO_RATE_THREE_COLOR:
        if config.eburst:
            raise invalid("eburst is for single-rate three-color meters only")
        if config.pir < config.cir:
            raise invalid("a two-rate meter's pir must not be below its cir (RFC 2698)")
    else:
        if (config.pir, config.pburst) != (config.cir, config.cburst):
            raise invalid("a single-rate meter's pir and pburst must equal its cir and cburst")
        if config.eburst and spec.type == p4i.MeterSpec.SINGLE_RATE_TWO_COLOR:
            raise invalid("eburst is for single-rate three-color meters only")
        if config.eburst:
            raise unimplemented("v1model's meters have no excess burst")
    return MeterRates(cir=config.cir, cburst=config.cburst, pir=config.pir, pburst=config.pburst)


def encode_meter(rates: MeterRates) -> p4r.MeterConfig:
    return p4r.MeterConfig(cir=rates.cir, cburst=rates.cburst, pir=rates.pir, pburst=rates.pburst)


def refuse_meter_counters() -> None:
    """The meters keep no counts by color."""
    raise unimplemented("per-color meter counters (meter_counter_data) are not supported")
