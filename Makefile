# Every target sets up what it needs from a bare Python 3.11 or newer, and only when
# pyproject.toml or constraints.txt has changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint docs bench bench-check clean

help:
	@echo "make demo      train, predict, decode and score on synthetic EM (under ten minutes, no GPU)"
	@echo "make test      run the test suite"
	@echo "make test-all  run the test suite with its slow tests and its coverage"
	@echo "make lint      check style, format and types"
	@echo "make docs      build the documentation into build/site"
	@echo "make bench     time what this project does against the usual ways (some minutes)"
	@echo "make bench-check  compare these ratios with the committed table"
	@echo "make clean     remove the virtual environment and caches; outputs and datasets stay"

demo: $(VENV)/.runtime
	$(BIN)/python scripts/main.py --config tutorials/demo.yaml
	$(BIN)/python scripts/main.py --config tutorials/demo.yaml --mode test \
		--checkpoint "$$(ls -td outputs/demo/*/checkpoints | head -n 1)/last.ckpt"

# What Python compiles is kept for the other worker, the processes of tests, and the next run.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow or not slow" -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

bench-check: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py --check

$(VENV)/.runtime: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (first time: a minute or two) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "connectomics needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch ..."
	@$(PIP) install "$$(grep '^torch==' constraints.txt)"
	@echo "Installing connectomics and what it needs ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing the test and lint tools ..."
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
