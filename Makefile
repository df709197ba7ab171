# Everything a person starts. Each target does its own set-up; a second call finds it done.

PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000

.PHONY: help setup demo ui test lint docs clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: .venv/.installed ## virtual environment with everything, pinned by constraints.txt

.venv/.installed: pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup ## fetch the models, ingest the sample clip, show what was found
	$(BIN)/bri demo

# Where BLIP cannot be had the UI's pipeline says so and captions from the detector; set BRI_CAPTIONER to decide.
ui: export BRI_CAPTIONER ?= auto
ui: export BRI_HOME := $(abspath $(or $(BRI_HOME),data))
ui: export DAGSTER_HOME := $(abspath $(or $(DAGSTER_HOME),$(BRI_HOME)/dagster))
ui: setup ## Dagster's UI and daemon on loopback; files dropped into $BRI_HOME/uploads are ingested
	$(BIN)/bri init
	$(BIN)/bri models pull
	@echo "The UI is at http://127.0.0.1:$(PORT); drop videos into $(BRI_HOME)/uploads; stop with Ctrl-C."
	exec $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

# Two workers on two cores; a thread each, for more of PyTorch's would wait for each other longer than they work.
test: setup ## every test, with real models
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup ## linter, formatter, type checker, rules of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## docs/schema.md and docs/configuration.md, made from the code
	$(BIN)/python docs/generate.py

clean: ## remove the environment and caches; never data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build .ci/*.egg-info
