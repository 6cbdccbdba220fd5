# SPDX-License-Identifier: Apache-2.0
"""A whole network on one machine: the emulation, model servers in its hosts, and a controller of its
switches.

    servers.py     the command line of each model server
    testbed.py     bring all of it up, in a sandbox, and take it down
    comparison.py  the same requests and events for several ways of deciding
"""
