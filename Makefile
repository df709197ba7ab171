# Everything a person starts. Each target does its own set-up; a second call finds it done.

PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
KILLS ?= 1000

.PHONY: help setup demo ui test faults bench-store bench-reads bench-collection bench-search bench-load lint docs clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

setup: .venv/.installed ## virtual environment with everything, pinned by constraints.txt

.venv/.installed: pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup ## fetch the models, ingest the sample clip, show what was found
	$(BIN)/bri demo

ui: setup ## Dagster's UI and daemon on loopback; files dropped into data/uploads are ingested
	exec $(BIN)/bri ui --port $(PORT)

# Two workers on two cores; a thread each, for more of PyTorch's would wait for each other longer than they work.
test: setup ## every test, with real models
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

faults: setup ## the fault suite in its long form, KILLS=1000; writes docs/faults.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest bri_assets_tests/faults --kills $(KILLS) $(if $(SEED),--kill-seed $(SEED))

bench-store: setup ## what commits, backups, restores and the file's size cost; options in BENCH=
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.store $(BENCH)

bench-search: setup ## the index of the search at 10,000 and 1,000,000 texts, and how right it is; options in BENCH=
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.search $(BENCH)

bench-load: setup ## the server with 20 clients while a pipeline commits, restarted in the middle; options in BENCH=
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.load $(BENCH)

bench-reads: setup ## what each read of an agent costs, against bare queries; options in BENCH=
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reads $(BENCH)

bench-collection: setup ## 200 short videos with bad ones among them; what a person is told of them
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.collection $(BENCH)

lint: setup ## linter, formatter, type checker, rules of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## docs/schema.md and docs/configuration.md, made from the code
	$(BIN)/python docs/generate.py

clean: ## remove the environment and caches; never data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build .ci/*.egg-info
