# SPDX-License-Identifier: Apache-2.0
"""The controller as a process: it measures, decides, and keeps the switches at what was decided.

store.py      what outlives the process: revisions, numbers of names, routes, the term
desired.py    one revision made ready: model, wiring, numbers
controller.py the loop
operations.py what an operator asks for: apply, rollback, drain
__main__.py   python -m din.controller
"""
