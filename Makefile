# Every target sets up what it needs: a virtual environment in .venv with the versions of
# constraints.txt. On a machine without an NVIDIA GPU the CPU build of torch is taken where pip's
# configured sources have it. Elsewhere say where it is, which saves several GB:
#
#     make test TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH_ARGS ?=
BENCHMARKS ?= decode decode_lmliif encode io batch "linear --sizes 5,20"
DEMO ?= demo
# a process per core, four at most: each takes more than a GB
PARALLEL ?= -n auto --maxprocesses 4 --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
CODE := liif_cli tests $(wildcard benchmarks)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all mutants check docs bench format clean

help:
	@echo "make demo      make sample images and upscale them, four times larger"
	@echo "make test      run the tests (make test-all: the slow ones too)"
	@echo "make mutants   which changes of the code no test notices (docs/mutants.md)"
	@echo "make check     formatting, lint, types and import layers"
	@echo "make docs      write the pages that are made from the code"
	@echo "make bench     measure speed against plain baselines"
	@echo "make format    format the code"
	@echo "make install   only make the virtual environment in $(VENV)"
	@echo "make clean     remove $(VENV), caches and build products"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "liif needs Python 3.11 or later, got $$($(PYTHON) --version 2>&1) as '$(PYTHON)';" \
			"name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@if [ -z "$(TORCH_ARGS)" ] && [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
		$(PIP) install -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null || \
		echo "No GPU here, and no CPU build of torch $(TORCH) in pip's sources: installing the default" \
			"build, which may be several GB. The head of the Makefile says how to get the small one."; \
	fi
	@$(PIP) install -c constraints.txt $(TORCH_ARGS) torch
	@$(PIP) install -c constraints.txt --editable '.[dev,fast]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/liif sample $(DEMO)/in
	@$(BIN)/liif upscale $(DEMO)/in $(DEMO)/out --scale 4
	@$(BIN)/liif upscale $(DEMO)/in $(DEMO)/bicubic --scale 4 --model bicubic
	@echo "Small images:      $(CURDIR)/$(DEMO)/in"
	@echo "Upscaled by LIIF:  $(CURDIR)/$(DEMO)/out"
	@echo "Upscaled bicubic:  $(CURDIR)/$(DEMO)/bicubic"

test: $(STAMP)
	@$(BIN)/python -m pytest -q $(PARALLEL)

test-all: $(STAMP)
	@$(BIN)/python -m pytest -q -m ""

mutants: $(STAMP)
	@$(PIP) install mutmut
	@$(BIN)/python -m mutmut run

check: $(STAMP)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PYTHONPATH=. $(BIN)/python docs/generate_formats.py --check
	@PYTHONPATH=. $(BIN)/python docs/generate_man.py --check

docs: $(STAMP)
	@for one in cli man formats; do PYTHONPATH=. $(BIN)/python docs/generate_$$one.py; done

bench: $(STAMP)
	@set -e; for one in $(BENCHMARKS); do echo "== $$one"; $(BIN)/python -m benchmarks.$$one; done

format: $(STAMP)
	@$(BIN)/ruff check --fix-only --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

clean:
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache $(DEMO)/in $(DEMO)/out $(DEMO)/bicubic
	find liif_cli tests $(wildcard benchmarks) -name __pycache__ -type d -prune -exec rm -rf {} +
