# Everything here works from a bare clone with Python 3.10 to 3.13 and make.
# `make sync` and its services are a sandbox on this machine: whatever the
# environment says, they never talk to a real Segment workspace or ClickHouse
# server. A production sync is `luigi --module luigi_tasks SyncToSegment`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

export CLICKHOUSE_PORT ?= 8123
export SEGMENT_PORT ?= 8765
export LUIGI_PORT ?= 8082
export DOCS_PORT ?= 8081
export RETAIL_PRO_EXPORT_DIR ?= seeds/sample

SANDBOX := $(patsubst %/,%,$(or $(SANDBOX_DIR),.sandbox))
PASSWORD_FILE := $(SANDBOX)/clickhouse/password

# Each command reads the password itself, so that no output of make shows it.
SANDBOX_ENV := umask 077; CLICKHOUSE_HOST=127.0.0.1 CLICKHOUSE_USER=default \
	CLICKHOUSE_PASSWORD="$$(test ! -e $(PASSWORD_FILE) || cat $(PASSWORD_FILE))" \
	CLICKHOUSE_SECURE=false DBT_TARGET=embedded RETAIL_PRO_SOURCE=landing \
	SEGMENT_HOST=http://127.0.0.1:$(SEGMENT_PORT) SEGMENT_WRITE_KEY=sandbox-write-key \
	DBT_PROJECT_DIR="$(CURDIR)" DBT_PROFILES_DIR="$(CURDIR)" \
	LUIGI_HOST=127.0.0.1 LUIGI_PASSWORD= LUIGI_PASSWORD_FILE= \
	CLICKHOUSE_PASSWORD_FILE= SEGMENT_WRITE_KEY_FILE= \
	NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

DBT_FILES := $(shell find dbt_project macros seeds -type f) dbt_project.yml

.DEFAULT_GOAL := help
.PHONY: help setup sync up down status docs test quick chaos engines lint format lock sbom bench clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

setup: $(VENV)/installed ## Make the environment in .venv

sync: up ## Load the sample export, build and send it to the sandbox; again: only what is new
	@$(SANDBOX_ENV) $(BIN)/luigi --module luigi_tasks SyncToSegment
	@$(MAKE) --no-print-directory --silent target/docs/catalog.json
	@echo "Luigi tasks       http://127.0.0.1:$(LUIGI_PORT)"
	@echo "Segment debugger  http://127.0.0.1:$(SEGMENT_PORT)"
	@echo "dbt docs          http://127.0.0.1:$(DOCS_PORT)"

up: $(VENV)/installed ## Start ClickHouse, Segment, luigid and the docs site of the sandbox
	@$(SANDBOX_ENV) $(BIN)/python -m sandbox up

down: $(VENV)/installed ## Stop them
	@$(SANDBOX_ENV) $(BIN)/python -m sandbox down

status: $(VENV)/installed ## Show which services run and what was delivered
	@$(SANDBOX_ENV) $(BIN)/python -m sandbox status
	@$(SANDBOX_ENV) $(BIN)/python -m luigi_tasks.status

docs: up ## Make the dbt docs site and say where it is
	@$(MAKE) --no-print-directory --silent target/docs/catalog.json
	@echo "dbt docs: http://127.0.0.1:$(DOCS_PORT)"

target/docs/catalog.json: $(DBT_FILES) | $(VENV)/installed
	@echo "Generating the dbt docs site ..."
	@$(SANDBOX_ENV) $(BIN)/dbt --quiet docs generate --target-path target/docs

test: $(VENV)/installed-dev ## Run all tests, one file per processor core at a time
	@$(BIN)/python -m pytest $(IN_PARALLEL)

quick: $(VENV)/installed-dev ## Run the tests of Python code that start no server: about a minute
	@$(BIN)/python -m pytest $(IN_PARALLEL) tests/unit
IN_PARALLEL := --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

chaos: $(VENV)/installed-dev ## Kill the sender 200 times, with every fault, a full disk and clocks that are set, and look at the books
	@CHAOS_KILLS=200 CHAOS_PENDING=1000000 CHAOS_OUTAGE=30 \
		$(BIN)/python -m pytest tests/chaos -o log_cli=true -o log_cli_level=INFO

engines: $(VENV)/installed-dev ## Run the pipeline on the oldest ClickHouse that is supported, and on a later one
	@set -e; for release in $(ENGINES); do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
			--target target/engines/$$release/site-packages chdb-core==$$release $(CHDB); \
		TEST_ENGINE=target/engines/$$release/site-packages $(BIN)/python -m pytest $(ENGINE_TESTS); done
# Releases of chdb-core, which are those of ClickHouse. There is none of 26.8; `make test` runs 26.9.
ENGINES := 26.3.0 26.7.3
CHDB := $(shell grep -o '^chdb==[0-9.]*' requirements-dev.lock)
ENGINE_TESTS := $(patsubst %,tests/integration/test_%.py,pipeline load_export operations integrity sender)

lint: $(VENV)/installed-dev ## Run the linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/sqlfluff lint dbt_project/models tests/dbt

format: $(VENV)/installed-dev ## Let ruff write the Python style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/installed-dev ## Resolve the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile $(LOCK_FLAGS) --all-extras pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra sandbox -c requirements-dev.lock pyproject.toml -o requirements-sandbox.lock
	$(BIN)/uv pip compile $(LOCK_FLAGS) -c requirements-dev.lock pyproject.toml -o requirements.lock
LOCK_FLAGS := --universal --python-version 3.10 --generate-hashes --no-strip-extras --no-header --upgrade --quiet

sbom: $(VENV)/installed-dev ## Write what a production installation consists of (CycloneDX) to target/sbom.cdx.json
	@mkdir -p target
	@$(BIN)/uv tool run --quiet --python $(BIN)/python --from "$(SBOM_TOOL)" \
		cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file target/sbom.cdx.json
	@echo "target/sbom.cdx.json"
# Apart from the environment: it brings rfc3987-syntax, with which jsonschema, and so each command of
# luigi and dbt, takes a second longer to start.
SBOM_TOOL := cyclonedx-bom==7.5.0

bench: $(VENV)/installed-dev ## Measure each claim about speed and write docs/benchmarks.md; SIZES="100000 10000000"
	@rm -rf target/bench
	@NO_PROXY=127.0.0.1 $(BIN)/python benchmarks/outbox_cost.py --json target/bench/outbox_cost.json \
		--sizes $(SIZES) --days $(DAYS)
	@set -e; for script in cycle peers send pace load clickhouse; do \
		NO_PROXY=127.0.0.1 $(BIN)/python benchmarks/$$script.py --json target/bench/$$script.json; done
	@$(BIN)/python benchmarks/publish.py target/bench
SIZES := 100000 500000
DAYS := 2

clean: down ## Stop the sandbox and remove its data, logs and build output; its password stays
	rm -rf target logs
	find $(SANDBOX) -mindepth 1 ! -path $(SANDBOX)/clickhouse ! -path $(PASSWORD_FILE) -delete

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "Python 3.10 to 3.13 is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.13 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# Activating the environment exports the sandbox's password: see sandbox/activate.sh.
$(VENV)/installed: requirements-sandbox.lock pyproject.toml sandbox/activate.sh | $(VENV)/bin/python
	@echo "Installing into $(VENV) (about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-sandbox.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@grep -qF sandbox/activate.sh $(BIN)/activate || printf '\n%s\n' '$(ACTIVATE)' >>$(BIN)/activate
	@$(BIN)/python -m sandbox prepare
	@touch $@
ACTIVATE := test ! -r "$$VIRTUAL_ENV/../sandbox/activate.sh" || . "$$VIRTUAL_ENV/../sandbox/activate.sh"

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "Installing test and lint tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
