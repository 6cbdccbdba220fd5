# SPDX-License-Identifier: Apache-2.0
"""From decisions to switches: entries, and how they get there over P4Runtime.

| module | public |
|---|---|
| `entry` | `State`: what is to be in a switch; `key`, `default`, `action`, `member` |
| `program` | `Program`, `default_program()`: the compiled P4 program by its names |
| `canonical` | `canonical(program, state)`: the form that switches give back, or `BadStateError`; `show` |
| `constraints` | `Constraints(program).check(key, value)`: whether entries are as the program demands |
| `references` | `dangling(program, state)`: what `@refers_to` says; `MAY_DANGLE` |
| `codec` | `Codec`: entries to and from messages |
| `diff` | `diff(have, want) -> Changes`; `BlastRadius` |
| `order` | `Order(program).batches(changes)`: make before break |
| `events` | `Up`, `Down`, `BecamePrimary`, `BecameBackup`, `NoPrimary`, `PortChanged`, `PacketIn`, ... |
| `connection` | `Target`, `Connection`: one switch, connected and fenced by term; `packet_out`; its errors |
| `queues`, `queue_probe` | how many queues a switch has, and the classes that share them |
| `counters` | `read_counters(connection, {name: indices})` |
| `reconcile` | `Reconciler`: keeps one switch as it is to be; `Result`, `Outcome`, `Preview` |
| `fleet` | `Fleet`: all switches: `apply`, `preview`, `raise_term`, `add`, `remove` |

Usually: `async with Fleet(targets, term=..., on_event=...) as fleet: await fleet.apply({name: state})`.
"""
