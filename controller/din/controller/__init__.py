# SPDX-License-Identifier: Apache-2.0
"""The controller as a process: it measures, decides, and keeps the switches at what was decided.

store.py      what outlives the process: revisions, numbers of names, routes, the term
desired.py    one revision made ready: model, wiring, numbers
controller.py the loop
adopt.py      what is taken over from switches and from an earlier process
moves.py      buckets from plan to plan
operations.py what an operator asks for: apply, rollback, drain
views.py      plans and changes as the API shows them
sensing.py    asks switches how connections and links are, by counters and by link probes (lldp.py)
answers.py    errors to hosts (icmp.py)
__main__.py   python -m din.controller
"""
