# SPDX-License-Identifier: Apache-2.0
"""Geneve options that scapy shall dissect as layers of their own: its Geneve knows only unknown ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scapy.contrib.geneve import GeneveOptions
from scapy.packet import Packet

#: (class, type) -> the option's layer, and whether these bytes, a whole option, can be read as one.
_layers: dict[tuple[int, int], tuple[type[Packet], Callable[[bytes], bool]]] = {}


def bind_option(
    option_class: int, option_type: int, layer: type[Packet], is_readable: Callable[[bytes], bool]
) -> None:
    _layers[option_class, option_type] = (layer, is_readable)


def _dispatch(cls: type[Packet], _pkt: bytes | None = None, *args: Any, **kwargs: Any) -> type[Packet]:
    if _pkt is None or len(_pkt) < 4:
        return cls
    whole = _pkt[: 4 + 4 * (_pkt[3] & 0x1F)]
    layer, is_readable = _layers.get((int.from_bytes(whole[:2], "big"), whole[2]), (cls, bool))
    return layer if is_readable(whole) else cls


GeneveOptions.dispatch_hook = classmethod(_dispatch)  # type: ignore[attr-defined]
