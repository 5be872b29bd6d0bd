# `make help` lists the verbs. Nothing but Python 3.11 or newer is needed: no Docker, no apt.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo demo-reset smoke test check lint types fmt bench migrate lock install

# Airflow starts three times slower without .pyc files.
unexport PYTHONDONTWRITEBYTECODE

# The first that runs (a name on the path may be a shim of nothing) and is new enough.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$name && break; done)
PY := .venv/bin/python

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: install  ## start everything on this machine and show it (ARGS="--scim --persons 500")
	@$(PY) -m demo run $(ARGS)

demo-reset: install  ## stop what a demo left running and delete its state
	@$(PY) -m demo reset

smoke: install  ## the demo unattended: every account checked against HR, then cleaned up
	@$(PY) -m demo smoke $(ARGS)

test: install  ## all tests, on every core (ARGS="tests/unit -k names")
	$(PY) -m pytest -n auto $(ARGS)

check: install  ## what CI runs: lint, types, smoke (at the same time), then the tests
	@$(MAKE) -j 2 --output-sync=target lint types smoke
	@$(MAKE) test

lint: install
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: install
	$(PY) -m mypy

fmt: install  ## format, and fix what can be fixed
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

bench: install  ## benchmarks: minutes, or SCALE=full for a million persons
	@$(PY) demo/install.py requirements-bench.txt
	$(PY) -m benchmarks $(if $(SCALE),--scale $(SCALE)) $(ARGS)

migrate: install  ## bring the store to the newest schema (AIRFLOW_CONN_ACCOUNTSYNC_DB and _DB_OWNER)
	PYTHONPATH=plugins $(PY) -m accountsync db upgrade

lock: install  ## resolve requirements*.in anew, with hashes
	$(PY) -m uv pip compile requirements.in --universal -p 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.txt
	$(PY) -m uv pip compile requirements-dev.in --universal -p 3.11 --generate-hashes --no-header --no-annotate -q -o requirements-dev.txt
	$(PY) -m uv pip compile requirements-bench.in --universal -p 3.11 --generate-hashes --no-header --no-annotate -q -o requirements-bench.txt

install: .venv/bin/python
	@$(PY) demo/install.py

.venv/bin/python:
	@python="$(PYTHON)"; test -n "$$python" \
	|| { echo "Python 3.11 or newer (with its venv module) was not found: set PYTHON=..." >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "$$python is older than 3.11: set PYTHON=..." >&2; exit 1; }; \
	"$$python" -m venv .venv || { rm -rf .venv; exit 1; }
