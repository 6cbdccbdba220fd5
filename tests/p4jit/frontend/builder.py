# SPDX-License-Identifier: Apache-2.0
"""Programs as JSON documents, made by hand: a small valid one and pieces to put into it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError
from p4jit.frontend.load import load_program

Json = dict[str, Any]


def field(header: str, name: str) -> Json:
    return {"type": "field", "value": [header, name]}


def hexstr(value: int) -> Json:
    return {"type": "hexstr", "value": hex(value)}


def header(name: str) -> Json:
    return {"type": "header", "value": name}


def op(name: str, left: Json | None, right: Json | int, **more: Any) -> Json:
    return {"type": "expression", "value": {"op": name, "left": left, "right": right, **more}}


def call(name: str, *parameters: Any, **more: Any) -> Json:
    return {"op": name, "parameters": list(parameters), **more}


def valid() -> Json:
    """A program with a piece of nearly everything; each call makes a new one."""
    return {
        "__meta__": {"version": [2, 23], "compiler": "by hand"},
        "header_types": [
            {
                "name": "standard_metadata",
                "id": 0,
                "fields": [
                    ["ingress_port", 9, False],
                    ["egress_spec", 9, False],
                    ["egress_port", 9, False],
                    ["instance_type", 32, False],
                    ["packet_length", 32, False],
                    ["enq_qdepth", 19, False],
                    ["mcast_grp", 16, False],
                    ["_padding", 2, False],
                ],
            },
            {"name": "ethernet_t", "id": 1, "fields": [["dst", 48], ["src", 48], ["type", 16]]},
            {
                "name": "label_t",
                "id": 2,
                "fields": [["label", 20], ["class", 3], ["bottom", 1], ["ttl", 8, True]],
            },
            {"name": "options_t", "id": 3, "fields": [["kind", 8], ["data", "*"]], "max_length": 41},
            {"name": "a_t", "id": 4, "fields": [["kind", 8]]},
            {"name": "b_t", "id": 5, "fields": [["kind", 8], ["value", 16]]},
            {"name": "meta_t", "id": 6, "fields": [["x", 32], ["flag", 1], ["wide", 128], ["colour", 3]]},
            {"name": "varbit_t", "id": 7, "fields": [["field", "*"]], "max_length": 40},
        ],
        "headers": [
            _instance(0, "standard_metadata", "standard_metadata", True),
            _instance(1, "ethernet", "ethernet_t"),
            _instance(2, "labels[0]", "label_t"),
            _instance(3, "labels[1]", "label_t"),
            _instance(4, "options", "options_t"),
            _instance(5, "u.a", "a_t"),
            _instance(6, "u.b", "b_t"),
            _instance(7, "us[0].a", "a_t"),
            _instance(8, "us[0].b", "b_t"),
            _instance(9, "us[1].a", "a_t"),
            _instance(10, "us[1].b", "b_t"),
            _instance(11, "meta", "meta_t", True),
            _instance(12, "kept", "varbit_t", True),
            _instance(13, "ethernet2", "ethernet_t"),
            _instance(14, "copied[0]", "label_t"),
            _instance(15, "copied[1]", "label_t"),
            _instance(16, "copy", "standard_metadata", True),
        ],
        "header_stacks": [
            {"name": "labels", "id": 0, "header_type": "label_t", "size": 2, "header_ids": [2, 3]},
            {"name": "copied", "id": 1, "header_type": "label_t", "size": 2, "header_ids": [14, 15]},
        ],
        "header_union_types": [{"name": "u_t", "id": 0, "headers": [["a", "a_t"], ["b", "b_t"]]}],
        "header_unions": [
            {"name": "u", "id": 0, "union_type": "u_t", "header_ids": [5, 6]},
            {"name": "us[0]", "id": 1, "union_type": "u_t", "header_ids": [7, 8]},
            {"name": "us[1]", "id": 2, "union_type": "u_t", "header_ids": [9, 10]},
        ],
        "header_union_stacks": [
            {"name": "us", "id": 0, "union_type": "u_t", "size": 2, "header_union_ids": [1, 2]}
        ],
        "field_lists": [{"id": 1, "name": "kept", "elements": [field("meta", "x")]}],
        "errors": [["NoError", 0], ["PacketTooShort", 1], ["Mine", 9]],
        "enums": [{"name": "Kind", "entries": [["a", 0], ["b", 7]]}],
        "parsers": [{"name": "parser", "id": 0, "init_state": "start", "parse_states": _states()}],
        "parse_vsets": [{"name": "types", "id": 0, "compressed_bitwidth": 16, "max_size": 4}],
        "deparsers": [
            {"name": "deparser", "id": 0, "order": ["ethernet", "labels[0]", "labels[1]"], "primitives": []}
        ],
        "meter_arrays": [
            {"name": "m", "id": 0, "type": "bytes", "rate_count": 2, "size": 8, "is_direct": False},
            {
                "name": "dm",
                "id": 1,
                "type": "packets",
                "rate_count": 2,
                "size": 64,
                "is_direct": True,
                "binding": "forward",
                "result_target": ["meta", "colour"],
            },
        ],
        "counter_arrays": [
            {"name": "c", "id": 0, "size": 16, "is_direct": False},
            {"name": "dc", "id": 1, "is_direct": True, "binding": "forward"},
        ],
        "register_arrays": [{"name": "r", "id": 0, "size": 32, "bitwidth": 48}],
        "calculations": [
            {
                "name": "calc",
                "id": 0,
                "algo": "crc16",
                "input": [
                    {"type": "payload", "value": None},
                    field("ethernet", "dst"),
                    {"type": "hexstr", "value": "0x05", "bitwidth": 4},
                    header("ethernet"),
                ],
            }
        ],
        "learn_lists": [{"id": 1, "name": "digest_t", "elements": [field("ethernet", "src")]}],
        "actions": [
            {
                "name": "set_port",
                "id": 0,
                "runtime_data": [{"name": "port", "bitwidth": 9}],
                "primitives": [
                    call(
                        "assign",
                        field("standard_metadata", "egress_spec"),
                        {"type": "runtime_data", "value": 0},
                    )
                ],
            },
            {
                "name": "drop",
                "id": 1,
                "runtime_data": [],
                "primitives": [call("mark_to_drop", header("standard_metadata"))],
            },
            {"name": "everything", "id": 2, "runtime_data": [], "primitives": _everything()},
            {"name": "NoAction", "id": 3, "runtime_data": [], "primitives": []},
        ],
        "pipelines": [_ingress(), _egress()],
        "checksums": [
            {
                "name": "sum",
                "id": 0,
                "target": ["ethernet", "type"],
                "type": "generic",
                "calculation": "calc",
                "verify": True,
                "update": False,
                "if_cond": op("d2b", None, field("ethernet", "$valid$")),
            }
        ],
        "force_arith": [],
        "extern_instances": [],
        "field_aliases": [
            ["queueing_metadata.enq_qdepth", ["standard_metadata", "enq_qdepth"]],
            ["intrinsic_metadata.mcast_grp", ["standard_metadata", "mcast_grp"]],
        ],
        "program": "hand.p4",
    }


def _instance(number: int, name: str, header_type: str, metadata: bool = False) -> Json:
    return {"name": name, "id": number, "header_type": header_type, "metadata": metadata}


def _states() -> list[Json]:
    return [
        {
            "name": "start",
            "id": 0,
            "parser_ops": [
                call("extract", {"type": "regular", "value": "ethernet"}),
                call("set", field("meta", "x"), {"type": "lookahead", "value": [0, 32]}),
            ],
            "transition_key": [field("ethernet", "type")],
            "transitions": [
                {"type": "parse_vset", "value": "types", "mask": None, "next_state": "labels"},
                {"type": "hexstr", "value": "0x8847", "mask": "0xfffe", "next_state": "labels"},
                {"type": "hexstr", "value": "0x0001", "mask": None, "next_state": "unions"},
                {"type": "default", "value": None, "mask": None, "next_state": None},
            ],
        },
        {
            "name": "labels",
            "id": 1,
            "parser_ops": [
                call("extract", {"type": "stack", "value": "labels"}),
                call(
                    "verify",
                    op("!=", {"type": "stack_field", "value": ["labels", "ttl"]}, hexstr(0)),
                    hexstr(9),
                ),
                call("advance", hexstr(8)),
                call("primitive", call("remove_header", header("ethernet2"))),
            ],
            "transition_key": [
                {"type": "stack_field", "value": ["labels", "bottom"]},
                {"type": "lookahead", "value": [0, 12]},
            ],
            "transitions": [
                {"type": "hexstr", "value": "0x000abc", "mask": "0x010fff", "next_state": "labels"},
                {"value": "default", "mask": None, "next_state": None},
            ],
        },
        {
            "name": "unions",
            "id": 2,
            "parser_ops": [
                call("extract", {"type": "union_stack", "value": ["us", "b"]}),
                call(
                    "extract_VL",
                    {"type": "regular", "value": "options"},
                    {"type": "expression", "value": op("*", field("u.a", "kind"), hexstr(8))},
                ),
                call("shift", 2),
            ],
            "transition_key": [{"type": "union_stack_field", "value": ["us", "b", "value"]}],
            "transitions": [{"type": "default", "value": None, "mask": None, "next_state": "unions"}],
        },
    ]


def _everything() -> list[Json]:
    """One of each primitive, in an order that jumps refer to."""
    element = op("dereference_header_stack", {"type": "header_stack", "value": "labels"}, field("meta", "x"))
    union_element = op(
        "dereference_union_stack", {"type": "header_union_stack", "value": "us"}, field("meta", "x")
    )
    wrapped = {"type": "expression", "value": op("access_field", element, 0)}
    register = {"type": "register", "value": ["r", hexstr(3)]}
    return [
        call("_jump_if_zero", op("b2d", None, op("==", field("meta", "x"), hexstr(1))), hexstr(2)),
        call("_jump", hexstr(3)),
        call("assign", field("meta", "x"), op("+", field("meta", "x"), hexstr(1))),
        call("assign", wrapped, op("two_comp_mod", op("-", None, hexstr(5)), hexstr(8))),
        call("assign_VL", field("kept", "field"), field("options", "data")),
        call("assign_header", header("ethernet2"), header("ethernet")),
        call(
            "assign_header_stack",
            {"type": "header_stack", "value": "copied"},
            {"type": "header_stack", "value": "labels"},
        ),
        call("assign_union", {"type": "header_union", "value": "u"}, union_element),
        call("add_header", header("ethernet2")),
        call("remove_header", op("access_union_header", union_element, 1)),
        call("push", {"type": "header_stack", "value": "labels"}, hexstr(9)),
        call("pop", {"type": "header_union_stack", "value": "us"}, hexstr(1)),
        call(
            "modify_field_with_hash_based_offset",
            field("meta", "x"),
            hexstr(0),
            {"type": "calculation", "value": "calc"},
            hexstr(16),
        ),
        call("modify_field_rng_uniform", field("meta", "x"), hexstr(1), hexstr(6)),
        call("count", {"type": "counter_array", "value": "c"}, field("meta", "x")),
        call("execute_meter", {"type": "meter_array", "value": "m"}, hexstr(1), field("meta", "colour")),
        call("register_read", field("meta", "wide"), {"type": "register_array", "value": "r"}, hexstr(2)),
        call("register_write", {"type": "register_array", "value": "r"}, hexstr(2), field("meta", "wide")),
        call("generate_digest", hexstr(1), hexstr(1)),
        call("clone_ingress_pkt_to_egress", hexstr(5), hexstr(1)),
        call("resubmit", hexstr(1)),
        call("recirculate", hexstr(0)),
        call("truncate", hexstr(64)),
        call(
            "log_msg",
            {"type": "string", "value": "x is {}"},
            {"type": "parameters_vector", "value": [field("meta", "x")]},
        ),
        call("assert", op("b2d", None, op("d2b", None, field("meta", "flag")))),
        call("assign", field("meta", "wide"), register),
        call("assign", register, op("?", hexstr(1), hexstr(2), cond={"type": "bool", "value": True})),
        call("add_to_field", field("meta", "x"), hexstr(1)),
        call("bit_xor", field("meta", "x"), field("meta", "x"), hexstr(3)),
        call("no_op"),
        call("exit"),
    ]


def _key(kind: str, target: Any, mask: str | None = None) -> Json:
    return {"match_type": kind, "target": target, "mask": mask}


def _ingress() -> Json:
    return {
        "name": "ingress",
        "id": 0,
        "init_table": "is_ethernet",
        "action_profiles": [
            {"name": "members", "id": 0, "max_size": 32},
            {
                "name": "groups",
                "id": 1,
                "max_size": 64,
                "selector": {"algo": "crc16", "input": [field("ethernet", "src")]},
            },
        ],
        "tables": [
            {
                "name": "forward",
                "id": 0,
                "key": [{"name": "hdr.ethernet.dst", **_key("exact", ["ethernet", "dst"])}],
                "match_type": "exact",
                "type": "simple",
                "max_size": 64,
                "with_counters": True,
                "support_timeout": True,
                "direct_meters": "dm",
                "action_ids": [0, 1, 3],
                "actions": ["set_port", "drop", "NoAction"],
                "base_default_next": "spread",
                "next_tables": {"set_port": "spread", "drop": None, "NoAction": "spread"},
                "default_entry": {
                    "action_id": 1,
                    "action_const": True,
                    "action_data": [],
                    "action_entry_const": True,
                },
            },
            {
                "name": "spread",
                "id": 1,
                "key": [_key("lpm", ["meta", "x"])],
                "match_type": "lpm",
                "type": "indirect_ws",
                "action_profile": "groups",
                "max_size": 128,
                "action_ids": [0, 3],
                "actions": ["set_port", "NoAction"],
                "base_default_next": "listed",
                "next_tables": {"set_port": None, "NoAction": None},
            },
            {
                "name": "listed",
                "id": 2,
                "key": [
                    _key("ternary", ["meta", "x"], "0x00ffffff"),
                    _key("range", ["ethernet", "type"]),
                    _key("exact", ["ethernet", "$valid$"]),
                    _key("valid", "ethernet2"),
                    _key("lpm", ["meta", "x"]),
                ],
                "match_type": "range",
                "type": "simple",
                "max_size": 1024,
                "action_ids": [0, 3],
                "actions": ["set_port", "NoAction"],
                "base_default_next": None,
                "next_tables": {"__HIT__": "finally", "__MISS__": None},
                "entries": [
                    {
                        "match_key": [
                            {"match_type": "ternary", "key": "0x0a0000ff", "mask": "0xff000000"},
                            {"match_type": "range", "start": "0x0800", "end": "0x0900"},
                            {"match_type": "exact", "key": "0x01"},
                            {"match_type": "valid", "key": True},
                            {"match_type": "lpm", "key": "0x0a0000ff", "prefix_length": 8},
                        ],
                        "action_entry": {"action_id": 0, "action_data": ["-0x1"]},
                        "priority": 3,
                    }
                ],
            },
            {
                "name": "never_applied",
                "id": 3,
                "key": [],
                "match_type": "exact",
                "type": "indirect",
                "action_profile": "members",
                "max_size": 1,
                "action_ids": [3],
                "actions": ["NoAction"],
                "next_tables": {"NoAction": None},
            },
        ],
        "conditionals": [
            {
                "name": "is_ethernet",
                "id": 0,
                "expression": op("valid", None, header("ethernet")),
                "true_next": "forward",
                "false_next": "finally",
            }
        ],
        "action_calls": [{"name": "finally", "id": 0, "action_id": 2, "next_node": None}],
    }


def _egress() -> Json:
    return {
        "name": "egress",
        "id": 1,
        "init_table": None,
        "tables": [],
        "action_profiles": [],
        "conditionals": [],
    }


def load(document: Json) -> ir.Program:
    return load_program(json.dumps(document), "hand")


def _at(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split("/")]


def replaced(path: str, value: Any) -> Json:
    """The valid program with another value at a path like ``headers/1/name``."""
    document = valid()
    *way, last = _at(path)
    place: Any = document
    for step in way:
        place = place[step]
    place[last] = value
    return document


def appended(section: str, *items: Any) -> Json:
    """The valid program with more items in an array."""
    document = valid()
    place: Any = document
    for step in _at(section):
        place = place[step]
    place.extend(items)
    return document


def refused(document: Json) -> ProgramError:
    """Why a program does not load, which it must not."""
    with pytest.raises(ProgramError) as caught:
        load(document)
    return caught.value
