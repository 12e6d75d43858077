# Two commands do it all: `make demo` and `make test`. Each sets up what it needs in .venv, without root.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of the supported range on this machine; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { command -v $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet

.PHONY: help setup setup-dev setup-bench demo test test-long test-gpu chaos lint fmt bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(RUN_STAMP) ## Make .venv with the locked dependencies; the command is then .venv/bin/facefleet

setup-dev: $(DEV_STAMP) ## The same with the tools for tests and linting

setup-bench: $(BENCH_STAMP) ## The same with what `facefleet bench compare`, `bench engine` and `bench profile` use beside facefleet

demo: $(RUN_STAMP) ## The whole story on drawn faces, or on PHOTOS=DIR/<person>/<image>
	@$(BIN)/facefleet demo $(if $(PHOTOS),--photos "$(PHOTOS)")

test: $(DEV_STAMP) ## Lint, types and all tests
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 3 --dist loadgroup

test-long: $(DEV_STAMP) ## The tests that take minutes, and on both databases those that `make test` runs on one
	$(BIN)/python -m pytest -m "long or one_database" --both-databases

test-gpu: $(DEV_STAMP) ## The tests that need an NVIDIA GPU; says why it skips them where there is none
	@why="$$($(BIN)/python -m tests.gpu)" || exit 1; \
	if [ -n "$$why" ]; then echo "$$why"; else $(BIN)/python -m pytest -m gpu; fi

chaos: $(DEV_STAMP) ## Kill everything the queue runs on and count what is lost; CHAOS="--case storm --seed 7" chooses
	@$(BIN)/python -m tests.chaos $(CHAOS)

lint: $(DEV_STAMP) ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fmt: $(DEV_STAMP) ## Put the code into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(RUN_STAMP) ## Measure this machine: the pipeline in a bare loop against the same through the queue
	@$(BIN)/facefleet bench

lock: $(DEV_STAMP) ## Resolve the dependencies of pyproject.toml anew (needs uv on PATH)
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header --generate-hashes --no-emit-index-url \
		--upgrade --output-file requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header --generate-hashes --no-emit-index-url \
		--upgrade --extra dev --constraint <(sed -E '/^ *--hash/d; s/ \\$$//' requirements.lock) \
		--output-file requirements-dev.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header --generate-hashes --no-emit-index-url \
		--upgrade --extra bench --constraint <(sed -E '/^ *--hash/d; s/ \\$$//' requirements-dev.lock) \
		--output-file requirements-bench.lock pyproject.toml

clean: ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "facefleet needs Python 3.11, 3.12 or 3.13; none was found on PATH." \
		"Install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment" \
		"(on Debian and Ubuntu: the package python3-venv). Nothing was installed." >&2; exit 1; }

# Everything is installed from the lock, with hashes; the checkout itself is linked in, nothing is built in isolation.
$(RUN_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing facefleet's locked dependencies into $(VENV) (about 5 GB with torch; a minute or two, once)"
	@$(PIP_INSTALL) --require-hashes -r requirements.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH_STAMP): requirements-bench.lock $(RUN_STAMP)
	@$(PIP_INSTALL) --require-hashes -r requirements-bench.lock
	@touch $@
