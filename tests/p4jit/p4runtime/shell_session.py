# SPDX-License-Identifier: Apache-2.0
"""A session of p4runtime-shell, run in its own environment by test_shell: arguments PORT P4INFO JSON EGRESS,
the last being a port whose packets come back.

Every assertion is about what the shell shows its user. Prints "done" at the end.
"""

import os
import sys
import traceback

import p4runtime_sh.shell as sh
from p4runtime_sh.p4runtime import P4RuntimeWriteException

port, p4info, json, egress = sys.argv[1:]
sh.setup(
    device_id=1,
    grpc_addr=f"localhost:{port}",
    election_id=(0, 1),
    config=sh.FwdPipeConfig(p4info, json),
    verbose=False,
)


def main() -> None:
    # Entries: insert, read, modify, delete.
    entry = sh.TableEntry("I.l2")(action="I.forward")
    entry.match["h.ethernet.dst"] = "0a:00:00:00:00:01"
    entry.action["port"] = "3"
    entry.insert()
    (found,) = sh.TableEntry("I.l2").read()
    assert found.match["h.ethernet.dst"].exact.value == bytes((10, 0, 0, 0, 0, 1)), found
    assert found.action["port"].value == b"\x03", found
    entry.action["port"] = "4"
    entry.modify()
    (found,) = sh.TableEntry("I.l2").read()
    assert found.action["port"].value == b"\x04", found
    refusal = ""
    try:
        entry.insert()
    except P4RuntimeWriteException as error:
        refusal = str(error)
    assert "ALREADY_EXISTS" in refusal

    route = sh.TableEntry("I.routes")(action="I.metered")
    route.match["m.flag"] = "1"
    route.match["h.ipv4.dst"] = "10.0.0.0/8"
    route.action["port"] = "1"
    route.insert()
    acl = sh.TableEntry("I.acl")(action="I.drop")
    acl.match["h.ethernet.type"] = "0x0800&&&0xff00"
    acl.match["h.ipv4.sport"] = "1..1024"
    acl.match["h.ipv4.proto"] = "6"
    acl.match["m.nibble"] = "1"
    acl.priority = 7
    acl.insert()
    assert len(list(sh.TableEntry("I.acl").read())) == 1
    default = sh.TableEntry("I.l2")(action="I.forward", is_default=True)
    default.action["port"] = "2"
    default.modify()
    entry.delete()
    assert list(sh.TableEntry("I.l2").read()) == []

    # One shot, members and groups.
    one_shot = sh.TableEntry("I.ecmp")
    one_shot.match["h.ipv4.dst"] = "10.0.0.0/8"
    choice = sh.Action("I.forward")
    choice["port"] = "1"
    one_shot.oneshot.add(choice, weight=2)
    one_shot.insert()
    member = sh.ActionProfileMember("I.shared")(action="I.forward", member_id=1)
    member.action["port"] = "1"
    member.insert()
    assert len(list(sh.ActionProfileMember("I.shared").read())) == 1

    # Counters, meters.
    cell = sh.CounterEntry("I.port_counter")
    cell.index = 2
    cell.packet_count = 5
    cell.modify()
    assert [c.packet_count for c in sh.CounterEntry("I.port_counter").read()] == [0, 0, 5, 0, 0, 0, 0, 0]
    direct = sh.DirectCounterEntry("I.l2_counter")
    assert list(direct.read()) == []
    meter = sh.MeterEntry("I.port_meter")
    meter.index = 1
    meter.cir = 1
    meter.cburst = 2
    meter.pir = 3
    meter.pburst = 4
    meter.modify()
    assert [m.pburst for m in sh.MeterEntry("I.port_meter").read()][1] == 4

    # Replication.
    group = sh.MulticastGroupEntry(1)
    group.add(1, 1).add(2, 1)
    group.insert()
    assert [len(g.replicas) for g in sh.MulticastGroupEntry(1).read()] == [2]
    session = sh.CloneSessionEntry(5)
    session.add(3, 1)
    session.packet_length_bytes = 100
    session.insert()
    session.delete()

    # Packets. What goes out by EGRESS comes back as a packet-in from it.
    packet_in = sh.PacketIn()
    packet_out = sh.PacketOut(b"hello", egress_port=egress, pad="0")
    packet_out.send()
    received = list(packet_in.sniff(timeout=2))
    assert [m.packet.payload for m in received] == [b"hello"]
    assert int.from_bytes(received[0].packet.metadata[0].value, "big") == int(egress)


try:
    main()
    sh.teardown()
    print("done", flush=True)
except BaseException:
    traceback.print_exc()
finally:
    # The shell's threads would keep the session alive.
    os._exit(0)
