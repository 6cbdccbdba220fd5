# SPDX-License-Identifier: Apache-2.0
"""The command line of a model server."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from din.model.emulated import Profile, Scale

from .scheduler import CHUNK

Address = tuple[str, int]
_N = TypeVar("_N", int, float)
_MOST: Final = 1_000_000_000
#: Llama-3-8B in FP16 on an A100 with 40 GB, by NVIDIA's data sheet (312 TFLOP/s, 1,555 GB/s): a token of a
#: prompt costs 2 x 8e9 FLOP, of which 40 % of the peak do 8,000 a second; a step of decoding reads the 16 GB
#: of weights, 10.3 ms at the full rate, and each further sequence its cache, 0.1 ms for 1,200 tokens of 2 x
#: 32 layers x 8 heads x 128 x 2 B; what the weights leave of the memory holds 131,072 tokens.
DEFAULT_PROFILE: Final[dict[str, Any]] = {
    "name": "default",
    "prefill_tokens_per_second": 8000,
    "decode_step": "12ms",
    "decode_step_per_sequence": "100us",
    "max_sequences": 64,
    "max_queue": 128,
    "kv_bytes_per_token": "131072B",
    "kv_blocks": 8192,
    "block_size": 16,
}
_UNITS: Final = {"decode_step": "us", "decode_step_per_sequence": "us", "kv_bytes_per_token": "B"}
DEFAULT_PORT: Final = 8000
#: vLLM's for its side channel of KV transfers.
DEFAULT_KV_PORT: Final = 5600


class Role(Enum):
    """As din.model.service.InstanceRole."""

    BOTH = "both"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True)
class Options:
    name: str
    served_models: tuple[str, ...]
    profile: Profile
    context: int = 8192
    scale: Scale = field(default_factory=Scale)
    chunk: int = CHUNK
    role: Role = Role.BOTH
    listen: tuple[Address, ...] = (("0.0.0.0", DEFAULT_PORT), ("::", DEFAULT_PORT))
    admin: tuple[str, ...] = ("127.0.0.1", "::1")
    prefill: tuple[str, ...] = ()
    kv_listen: tuple[Address, ...] = (("0.0.0.0", DEFAULT_KV_PORT), ("::", DEFAULT_KV_PORT))
    kv_host: str | None = None
    kv_dscp: int = 0
    kv_patience: float = 60.0
    otlp: str | None = None
    drain_seconds: float = 30.0
    connection_lifetime: float | None = None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Exits with 2 and a sentence where they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        profile = _profile(given)
        scale = Scale(bytes=given.scale_bytes, rate=given.scale_rate)
    except (ValidationError, ValueError, OSError) as error:
        parser.error(_explain(error))
    if given.prefill and given.role != Role.DECODE.value:
        parser.error("--prefill: only a server of --role decode asks another one")
    options = Options(
        name=given.name,
        served_models=tuple(given.served_model),
        profile=profile,
        context=given.context,
        scale=scale,
        chunk=given.chunk,
        role=Role(given.role),
        admin=tuple(given.admin or Options.admin),
        prefill=tuple(given.prefill),
        kv_host=given.kv_host,
        kv_dscp=given.kv_dscp,
        kv_patience=given.kv_patience,
        otlp=given.otlp_traces_endpoint,
        drain_seconds=given.drain_seconds,
        connection_lifetime=given.connection_lifetime,
    )
    if given.listen:
        options = replace(options, listen=tuple(given.listen))
    if given.kv_listen:
        options = replace(options, kv_listen=tuple(given.kv_listen))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m din.inference.server",
        description="A model server for test beds: OpenAI's API and vLLM's metrics, without a model.",
    )
    add = parser.add_argument
    add("--name", required=True, type=_header_value, help="of this server, in spans, logs and KV parameters")
    add(
        "--served-model",
        required=True,
        action="append",
        help="name that clients ask for; repeatable, the first answers",
    )
    add(
        "--context",
        type=_positive,
        default=Options.context,
        help="tokens of prompt and answer (default %(default)s)",
    )
    add(
        "--listen",
        action="append",
        type=_address,
        metavar="ADDR:PORT",
        help="repeatable (default 0.0.0.0:8000, [::]:8000)",
    )
    add(
        "--admin",
        action="append",
        type=_ip,
        metavar="ADDR",
        help="own address that answers /admin; repeatable (default loopback)",
    )
    add(
        "--drain-seconds",
        type=_seconds,
        default=Options.drain_seconds,
        help="after SIGTERM, before streams are cut (default %(default)s)",
    )
    add(
        "--connection-lifetime",
        type=_seconds,
        help="seconds after which a connection ends with its next answer (default: never)",
    )
    add(
        "--otlp-traces-endpoint",
        type=_url,
        metavar="URL",
        help="where spans go, as http://HOST:4318/v1/traces",
    )

    speed = parser.add_argument_group("speed", "a profile, and single fields that replace its own")
    speed.add_argument("--profile", metavar="JSON|@FILE", help=f"default {json.dumps(DEFAULT_PROFILE)}")
    for name in Profile.model_fields:
        if name != "name":
            speed.add_argument("--" + name.replace("_", "-"), metavar="VALUE", help="as in the profile")
    speed.add_argument(
        "--chunk", type=_positive, default=CHUNK, help="prompt tokens in one step (default %(default)s)"
    )
    speed.add_argument("--scale-rate", type=float, default=1.0, help="speed, as a part of the profile's")
    speed.add_argument(
        "--scale-bytes",
        type=float,
        default=1.0,
        help="size of prompts and KV transfers, as a part of the true one",
    )

    apart = parser.add_argument_group("prefill and decode apart")
    apart.add_argument("--role", choices=[each.value for each in Role], default=Role.BOTH.value)
    apart.add_argument(
        "--prefill",
        action="append",
        type=_url,
        default=[],
        metavar="URL",
        help="of a prefill server, http://HOST:PORT; repeatable",
    )
    apart.add_argument(
        "--kv-listen",
        action="append",
        type=_address,
        metavar="ADDR:PORT",
        help="of a prefill server (default 0.0.0.0:5600, [::]:5600)",
    )
    apart.add_argument(
        "--kv-host", help="where KV caches are fetched (default: the address that was asked for the prefill)"
    )
    apart.add_argument(
        "--kv-dscp", type=_dscp, default=0, help="of KV transfers, both ways (default %(default)s)"
    )
    apart.add_argument(
        "--kv-patience",
        type=_seconds,
        default=Options.kv_patience,
        help="seconds a KV cache waits to be fetched (default %(default)s)",
    )
    return parser


def _profile(given: argparse.Namespace) -> Profile:
    fields: Any = DEFAULT_PROFILE
    if given.profile is not None:
        text = Path(given.profile[1:]).read_text() if given.profile.startswith("@") else given.profile
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("--profile: a JSON object is expected")
        fields = {name: _with_unit(name, value) for name, value in fields.items()}
    single = {
        name: value
        for name in Profile.model_fields
        if name != "name" and (value := getattr(given, name)) is not None
    }
    return Profile.model_validate({**fields, **single})


def _with_unit(name: str, value: Any) -> Any:
    """A bare number has the unit that a dumped `Profile` has."""
    if isinstance(value, int) and not isinstance(value, bool) and name in _UNITS:
        return f"{value}{_UNITS[name]}"
    return value


def _explain(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return str(error)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        address = str(ip_address(host.removeprefix("[").removesuffix("]")))
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r}: an address and a port, as 10.0.0.1:8000 or [2001:db8::1]:8000"
        )
    return address, number


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: a URL is expected, as http://10.0.0.1:8000")


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _header_value(text: str) -> str:
    if not re.fullmatch("[!-~]+", text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits and ASCII punctuation are expected")
    return text


def _positive(text: str) -> int:
    return _number(int, text, 1, _MOST)


def _dscp(text: str) -> int:
    return _number(int, text, 0, 63)


def _seconds(text: str) -> float:
    return _number(float, text, 0, _MOST)


def _number(kind: type[_N], text: str, least: int, most: int) -> _N:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least} to {most}")
    return value
