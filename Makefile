# One command for each thing a contributor does; `make help` lists them. Nothing here needs root.
#
#   make run ARGS="--every 0.5 --for 10"     options for `bourn run`, added to the defaults below
#   make test ARGS="--lane mpy-armhf"        options for tests/run.py
#   make clean run PYTHON=python3.12         another Python (3.11 or newer)

PYTHON ?= python3
ARGS ?=
SEED ?= 1

BIN := .venv/bin
RUN := --csv-file bourn.csv --log-to-screen --log-to-plot

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak sim boards tools clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile

run: .venv/.demo ## the main job: five sensors, a hub, SQLite, CSV, terminal and live page (Ctrl-C ends it)
	@$(BIN)/python tools/foreground.py $(BIN)/bourn run $(RUN) $(ARGS)

test: .venv/.dev tools ## every test on every interpreter that can be had
	$(BIN)/python tests/run.py $(ARGS)
	$(BIN)/python -m pytest -n 3 --dist loadfile

check: .venv/.dev ## format, lint, types, layers, package, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_package.py $(wildcard tests/test_docs.py)

bench: .venv/.bench tools ## ratios against peers, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: .venv/.dev tools ## the long runs
	$(BIN)/python -m pytest -m soak $(ARGS)

sim: .venv/.dev ## replay one simulation: make sim SEED=7
	BOURN_SEED=$(SEED) $(BIN)/python -m pytest tests/simulation $(ARGS)

boards: .venv/.dev ## .mpy bundles for boards in dist/boards/, their sizes in docs/boards.md, what `mip` reads
	@$(BIN)/python tools/boards.py

# Idempotent and quick when everything is there; each says in one line what it leaves out.
tools: .venv/.dev
	@$(BIN)/python tools/interpreters.py
	@$(BIN)/python tools/programs.py
	@$(BIN)/python tools/azurite.py
	@$(BIN)/python tools/umqtt.py
	@$(BIN)/python tools/timescale.py

clean: ## remove what make set up and what the tools wrote, but no readings
	rm -rf .venv .tools build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# tools/venv.py refuses a Python 3 that is too old; this is for what can't even read it.
SETUP = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || \
	{ echo 'setup: "$(PYTHON)" is no Python 3. Try: apt install python3 python3-pip' >&2; exit 2; }; \
	$(PYTHON) tools/venv.py

.venv/.demo: pyproject.toml tools/venv.py
	@$(SETUP) demo

.venv/.dev: pyproject.toml tools/venv.py
	@$(SETUP) dev

.venv/.bench: pyproject.toml tools/venv.py
	@$(SETUP) bench
