# `make` alone says what there is. It needs Python 3.11 or later, and nothing else of the system.

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The first Python that is new enough; `make PYTHON=/path/to/python …` takes another one.
PYTHON = $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo dev test browser lint format corpus bench help

demo: $(VENV)/embedded ## A whole subscription, from request to erasure, in less than a minute
	@$(BIN)/worksub demo

dev: $(VENV)/embedded ## Temporal with its Web UI, PostgreSQL and the worker, until Ctrl-C
	@$(BIN)/worksub dev

test: lint ## The linters, the type checker and every test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

browser: $(VENV)/dev ## The console in a real browser; needs Chromium
	$(BIN)/python -m pytest tests/browser

lint: $(VENV)/dev ## Style, formatting, types, and which room may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev ## Rewrite the code in the house's format, imports sorted
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

corpus: $(VENV)/dev ## Record every kind of life as this release lives it, for every later one to replay
	@PYTHONPATH=tests $(BIN)/python -m replay.record

bench: $(VENV)/embedded ## What this service costs beside a plain one on Temporal, in two minutes or so
	@$(BIN)/python -m benchmarks.bench

help: ## What there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What `make demo` and `make dev` need, and nothing of what only tests need, for it is quicker.
$(VENV)/embedded: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later is needed, and python3 is $$(python3 --version 2>&1 || echo missing)." >&2; \
		echo "If there is one elsewhere: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; this takes a minute)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --editable '.[embedded]'
	@touch $@

$(VENV)/dev: $(VENV)/embedded
	@echo "Installing what the tests need (once)…"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
