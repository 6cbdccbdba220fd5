# SPDX-License-Identifier: Apache-2.0
"""A whole network on one machine: the emulation, model servers in its hosts, and a controller of its
switches.

    servers.py     the command line of each model server
    testbed.py     bring all of it up, in a sandbox, and take it down
    networks.py    which networks are up on this machine, and where their state is
    keeper.py      the process that keeps one up: inside.py in a sandbox, or alone.py, a controller alone
    relay.py       its metrics on a TCP address
    comparison.py  the same requests and events for several ways of deciding
    record.py      the folder that it leaves
    results.py     what that amounts to: summaries, differences, verdicts
    verdict.py     the same in words, ties and losses included
    tables.py      the same in tables
    terminal.py    for a terminal
    report.py      for a browser: one file, with charts.py, picture.py and report.html.jinja
    demo.py        all of it by one command
"""
