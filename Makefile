# Everything here works in a fresh clone with Python 3.11 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# One file to one process, so that what a file trains is trained once; as many processes as there are cores, up to eight.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations=25

.PHONY: demo test test-fast lint docs bench clean

demo: $(READY)
	$(BIN)/mecca demo --out runs/demo

test: $(READY)
	$(PYTEST)

# All but what trains, or starts a browser, a compiler or another interpreter.
test-fast: $(READY)
	$(PYTEST) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/mkdocs build

bench: $(READY)
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.sb3

# Versions are pinned. Whether torch is a CPU or a CUDA build is the package index's matter: docs/training.md, "On a GPU".
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
