# SPDX-License-Identifier: Apache-2.0
"""What the intermediate form says of a program that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.frontend import ir
from p4jit.frontend.load import load_program
from p4jit.frontend.pipeline import successors

from tests.p4jit.frontend.builder import call, field, header, hexstr, load, op, valid

PROGRAMS = sorted(Path(__file__).parents[1].joinpath("programs").glob("*.json"))
COMPILED = [path for path in PROGRAMS if path.with_suffix(".p4").exists()]


@pytest.fixture(scope="module")
def program() -> ir.Program:
    return load(valid())


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_what_p4c_writes_loads(path: Path) -> None:
    program = load_program(path.read_bytes(), path.stem)
    for pipeline in (program.ingress, program.egress):
        position = {node: i for i, node in enumerate(pipeline.nodes)}
        assert (pipeline.entry is None) == (not pipeline.nodes)
        for node in pipeline.nodes:
            assert all(position[node] < position[following] for following in successors(node))
    for items in (program.headers, program.tables, program.actions, program.calculations, program.registers):
        assert [item.index for item in items] == list(range(len(items)))


def test_programs_were_found() -> None:
    assert COMPILED


def test_header_types(program: ir.Program) -> None:
    types = {h.name: h.type for h in program.headers}
    assert types["ethernet"].max_bytes == 14
    assert types["ethernet"] is types["ethernet2"]
    assert types["labels[0]"].fields[3].signed
    options = types["options"]
    assert options.varbit is options.fields[1]
    assert (options.fields[1].width, options.max_bytes) == (320, 41)


def test_stacks_and_unions_own_their_headers(program: ir.Program) -> None:
    assert [h.name for h in program.stacks[0].headers] == ["labels[0]", "labels[1]"]
    union = program.unions[1]
    assert [(name, h.name) for name, h in union.members] == [("a", "us[0].a"), ("b", "us[0].b")]
    assert all(h.union is union for _, h in union.members)
    assert program.union_stacks[0].unions == program.unions[1:]


def test_missing_core_errors_follow_the_programs_own(program: ir.Program) -> None:
    assert program.errors == {
        "NoError": 0,
        "PacketTooShort": 1,
        "Mine": 9,
        "NoMatch": 10,
        "StackOutOfBounds": 11,
        "HeaderTooShort": 12,
        "ParserTimeout": 13,
        "ParserInvalidArgument": 14,
    }
    assert program.enums == {"Kind": {"a": 0, "b": 7}}


def test_standard_fields_follow_aliases_or_names(program: ir.Program) -> None:
    names = {name: ref.field.name for name, ref in program.standard_fields.items()}
    assert names["standard_metadata.egress_spec"] == "egress_spec"
    assert names["queueing_metadata.enq_qdepth"] == "enq_qdepth"
    assert "queueing_metadata.deq_qdepth" not in names


def test_transitions_are_split_by_key_field(program: ir.Program) -> None:
    start, labels, unions = program.parser.states
    assert program.parser.start is start
    assert [t.value_set and t.value_set.name for t in start.transitions] == ["types", None, None]
    assert [t.values for t in start.transitions] == [None, [(0x8846, 0xFFFE)], [(1, None)]]
    assert start.default is None
    assert [width for _, width in labels.key] == [1, 12]
    assert labels.transitions[0].values == [(0, None), (0xABC, None)]
    assert labels.transitions[0].next is labels
    assert unions.default is unions
    key = unions.key[0][0]
    assert isinstance(key, ir.LastUnionField)
    assert (key.member, key.field.name) == (1, "value")


def test_parser_operations(program: ir.Program) -> None:
    start, labels, unions = program.parser.states
    extract, read = start.body
    assert isinstance(extract, ir.Extract)
    assert extract.target is program.headers[1]
    assert isinstance(read, ir.ParserSet)
    assert isinstance(read.value, ir.Lookahead)
    assert [type(s) for s in labels.body] == [ir.Extract, ir.Verify, ir.Advance, ir.SetInvalid]
    to_union, varbit, skip = unions.body
    assert isinstance(to_union, ir.Extract)
    assert to_union.target == (program.union_stacks[0], 1)
    assert isinstance(varbit, ir.Extract)
    assert isinstance(varbit.length, ir.Binary)
    assert isinstance(skip, ir.Advance)
    assert isinstance(skip.bits, ir.Const)
    assert skip.bits.value == 16


def test_every_primitive_is_one_statement(program: ir.Program) -> None:
    body = program.actions[2].body
    assert len(body) == len(valid()["actions"][2]["primitives"])
    jump_if_zero, jump = body[:2]
    assert isinstance(jump_if_zero, ir.JumpIfZero)
    assert isinstance(jump, ir.Jump)
    assert (jump_if_zero.target, jump.target) == (2, 3)
    # The conversion to a number and back is gone.
    assert isinstance(jump_if_zero.condition, ir.Binary)
    assert jump_if_zero.condition.op is ir.BinaryOp.EQ
    assert isinstance(body[3], ir.Assign)
    assert isinstance(body[3].target, ir.ElementField)
    push = body[10]
    assert isinstance(push, ir.Push)
    assert push.count == 2


def test_arithmetic_primitives_become_assignments(program: ir.Program) -> None:
    add, xor = program.actions[2].body[27:29]
    assert isinstance(add, ir.Assign)
    assert isinstance(add.value, ir.Binary)
    assert (add.value.op, add.value.left) == (ir.BinaryOp.ADD, add.target)
    assert isinstance(xor, ir.Assign)
    assert isinstance(xor.value, ir.Binary)
    assert xor.value.op is ir.BinaryOp.XOR


def test_a_mark_on_a_copy_of_the_standard_metadata_names_its_fields() -> None:
    document = valid()
    document["actions"][1]["primitives"].append(call("mark_to_drop", header("copy")))
    standard, copy = load(document).actions[1].body
    assert isinstance(standard, ir.MarkToDrop)
    assert standard.egress_spec is None
    assert isinstance(copy, ir.MarkToDrop)
    assert copy.egress_spec is not None
    assert copy.egress_spec.header is not None
    assert copy.egress_spec.header.name == "copy"
    assert copy.multicast_group is not None


def test_the_payload_is_hashed_last(program: ir.Program) -> None:
    kinds = [type(i) for i in program.calculations[0].inputs]
    assert kinds == [ir.FieldRef, ir.SizedConst, ir.HeaderRef, ir.Payload]


def test_tables(program: ir.Program) -> None:
    forward, spread, listed, never = program.tables
    assert program.ingress.tables == program.tables
    assert never not in program.ingress.nodes
    assert forward.direct_meter is program.meters[1]
    assert forward.default is not None
    assert forward.default.action.name == "drop"
    assert forward.default_action_const
    assert forward.default_entry_const
    assert [n and n.name for n in forward.next_by_action.values()] == ["spread", None, "spread"]
    assert forward.default_next is spread
    assert spread.profile is program.profiles[1]
    assert spread.profile.selector is program.calculations[1]
    assert spread.default is None
    assert never.profile is not None
    assert never.profile.selector is None
    assert listed.next_by_hit is not None
    assert listed.default_next is None
    assert listed.key[0].mask == 0xFFFFFF


def test_constant_entries(program: ir.Program) -> None:
    listed = program.tables[2]
    assert listed.const_entries
    assert listed.max_size == 1
    (entry,) = listed.entries
    assert entry.priority == 3
    assert [(m.value, m.mask, m.prefix_length, m.high) for m in entry.match] == [
        (0x0A000000, 0xFF000000, None, None),
        (0x800, None, None, 0x900),
        (1, None, None, None),
        (1, None, None, None),
        (0x0A000000, None, 8, None),
    ]
    assert entry.call.arguments == [0x1FF]


def test_nodes_are_in_topological_order(program: ir.Program) -> None:
    nodes = program.ingress.nodes
    assert nodes[0] is program.ingress.entry
    assert {n.name for n in nodes} == {"is_ethernet", "forward", "spread", "listed", "finally"}
    assert program.egress.entry is None


def test_an_ipv4_checksum_is_over_its_header_with_zeros_for_itself() -> None:
    document = valid()
    document["checksums"][0] |= {"type": "ipv4", "target": ["ethernet", "type"]}
    (checksum,) = load(document).checksums
    assert checksum.calculation.algorithm == "csum16"
    *fields, own = checksum.calculation.inputs
    assert [i.field.name for i in fields if isinstance(i, ir.FieldRef)] == ["dst", "src"]
    assert isinstance(own, ir.SizedConst)
    assert (own.value, own.width) == (0, 16)


def test_checksum_flags_default_to_both() -> None:
    document = valid()
    del document["checksums"][0]["verify"], document["checksums"][0]["update"]
    (checksum,) = load(document).checksums
    assert checksum.verify
    assert checksum.update


def test_the_validity_of_an_element_known_at_run_time() -> None:
    document = valid()
    element = op("dereference_header_stack", {"type": "header_stack", "value": "labels"}, field("meta", "x"))
    source = {"type": "field", "value": [element["value"], "$valid$"]}
    document["actions"][3]["primitives"] = [call("assign", field("meta", "flag"), source)]
    (assign,) = load(document).actions[3].body
    assert isinstance(assign, ir.Assign)
    assert isinstance(assign.value, ir.Unary)
    assert isinstance(assign.value.operand, ir.Valid)


def test_p4c_calls_an_element_of_a_stack_of_unions_a_header() -> None:
    document = valid()
    source = op("b2d", None, op("valid_union", None, header("us[1]")))
    document["actions"][3]["primitives"] = [call("assign", field("meta", "flag"), source)]
    program = load(document)
    (assign,) = program.actions[3].body
    assert isinstance(assign, ir.Assign)
    assert isinstance(assign.value, ir.Unary)
    assert isinstance(assign.value.operand, ir.ValidUnion)
    assert isinstance(assign.value.operand.union, ir.UnionRef)
    assert assign.value.operand.union.union is program.unions[2]


def test_a_jump_back_makes_a_loop() -> None:
    document = valid()
    document["actions"][3]["primitives"] = [
        call("no_op"),
        call("_jump_if_zero", field("meta", "x"), hexstr(0)),
    ]
    jump = load(document).actions[3].body[1]
    assert isinstance(jump, ir.JumpIfZero)
    assert jump.target == 0


def test_a_length_expression_refers_to_the_headers_own_fields() -> None:
    document = valid()
    local = {"type": "local", "value": 0}
    document["header_types"][3]["length_exp"] = op("*", local, hexstr(8))
    length = load(document).headers[4].type.length_expression
    assert isinstance(length, ir.Binary)
    assert isinstance(length.left, ir.FieldRef)
    assert length.left.header is None
    assert length.left.field.name == "kind"


def test_an_older_action_profile_is_described_in_its_table() -> None:
    document = valid()
    table = document["pipelines"][0]["tables"][1]
    del table["action_profile"]
    table |= {"act_prof_name": "old", "selector": {"algo": "crc32", "input": [field("meta", "x")]}}
    profile = load(document).tables[1].profile
    assert profile is not None
    assert profile.name == "old"
    assert profile.selector is not None


def test_digests_of_one_type_may_be_several_lists() -> None:
    document = valid()
    document["learn_lists"].append({"id": 2, "name": "digest_t", "elements": [field("meta", "x")]})
    assert [learn.widths for learn in load(document).learn_lists] == [[48], [32]]


def test_a_program_without_a_version_loads() -> None:
    document = valid()
    del document["__meta__"]
    assert load(document).name == "hand"
