# SPDX-License-Identifier: Apache-2.0
#
#   make demo    set up whatever is missing, then run topologies/enterprise.yaml and show what steering is worth
#                (DIN_TARGET=bmv2: on simple_switch_grpc; DEMO=topologies/skeleton.yaml: another model)
#   make test    set up whatever is missing, then lint, types, C warnings and tests
#   make lint    the same without the tests
#   make bench   the switch benchmark
#   make setup   only set up: Debian packages, .venv
#   make clean   remove everything these made, but results/

# PYTHON=python3.12 picks the interpreter for .venv.
ifdef PYTHON
export PYTHON
endif

DEMO ?= topologies/enterprise.yaml

.PHONY: demo test lint bench setup clean

demo: setup
	@.venv/bin/python -m din.testbed.demo $(DEMO)

test: setup
	@scripts/check

lint: setup
	@scripts/check lint

bench: setup
	@.venv/bin/python scripts/bench_switch

setup:
	@scripts/bootstrap

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache switch/*.egg-info *.egg-info
	find switch controller tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
