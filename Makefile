# Each target makes its own .venv if there is none; PYTHON names the interpreter, 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/demo.stamp
	$(BIN)/sesr demo --out runs/demo

test: $(VENV)/test.stamp lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'sesr_jax needs Python 3.11 or later')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: setup.py $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[demo,export]"
	touch $@

$(VENV)/test.stamp: setup.py $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
