PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary --constraint constraints.txt

.PHONY: demo test lint types docs bench mutants clean

demo: $(VENV)/.core
	$(BIN)/exitprint demo --report report.html

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/python docs/build.py
	$(BIN)/zensical build --strict --clean

bench: $(VENV)/.bench
	OMP_NUM_THREADS=1 $(BIN)/python -m bench

mutants: $(VENV)/.bench
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.mutants

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.core

$(VENV)/.bench: $(VENV)/.dev
	$(INSTALL) --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV)
