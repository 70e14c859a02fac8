# Each target sets itself up: a fresh machine needs only Python 3.11 to 3.13 and make.
#   make demo       the whole line on the drawn world; writes work_dirs/demo/report.html
#   make test       the tests that take under 20 seconds each
#   make test-all   all tests
#   make lint       ruff, formatting, text files
#   make wheel      dist/react_mm-*.whl
#   make clean      removes what make wrote (not work_dirs or data; `make clean-all` those too)
# PYTHON=/path/to/python3.12 picks the interpreter, VENV=folder the environment, EXTRAS=dev,lite adds
# the offline base for photographs; DEMO_ARGS and PYTEST_ARGS go to the commands.

SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
REQUIREMENTS ?= requirements.txt
EXTRAS ?= dev
COMMA := ,
STAMP := $(VENV)/.installed-$(notdir $(REQUIREMENTS))-$(subst $(COMMA),-,$(EXTRAS))
RUN := $(VENV)/bin/python
JOBS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=

export MPLBACKEND := Agg
export HF_HUB_OFFLINE := 1
export PYTHONUNBUFFERED := 1
export PYTHONWARNINGS := ignore
export NO_ALBUMENTATIONS_UPDATE := 1
# one thread per process while tests run side by side; torch decides by itself otherwise
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-all lint format wheel setup clean clean-all help
.DEFAULT_GOAL := help

help:
	@sed -n '2,9p' Makefile | cut -c 3-

setup: $(STAMP)

$(STAMP): $(REQUIREMENTS) setup.py pyproject.toml
	@if [ -z "$(PYTHON)" ] && [ ! -x $(RUN) ]; then \
	  echo "make: no Python 3.11 to 3.13 found; install one or say make PYTHON=/path/to/python"; exit 1; fi
	@if [ ! -x $(RUN) ]; then \
	  echo "== environment: $$($(PYTHON) --version) in $(VENV)"; \
	  $(PYTHON) -m venv $(VENV) || { echo "make: '$(PYTHON) -m venv' failed (Debian: apt-get install python3-venv)"; rm -rf $(VENV); exit 1; }; fi
	@echo "== installing $(REQUIREMENTS) and this checkout (about 3 GB, 2 to 4 minutes)"
	@start=$$(date +%s); $(RUN) -m pip install --quiet --disable-pip-version-check \
	  -r $(REQUIREMENTS) -e ".[$(EXTRAS)]" && echo "== installed in $$(( $$(date +%s) - start )) s"
	@touch $@

demo: $(STAMP)
	@echo "== demo: the whole line on the drawn world; finished stages are reused"
	@$(RUN) tools/demo.py $(DEMO_ARGS)

test: $(STAMP)
	@echo "== tests under 20 s each, on $(JOBS) processes"
	@$(TEST_ENV) $(RUN) -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(PYTEST_ARGS)

test-all: $(STAMP)
	@echo "== all tests, on $(JOBS) processes"
	@$(TEST_ENV) $(RUN) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(STAMP)
	@echo "== ruff, formatting, text files"
	@$(RUN) -m ruff check --no-cache .
	@$(RUN) -m ruff format --no-cache --check .
	@$(RUN) .ci/check_text.py

format: $(STAMP)
	@$(RUN) -m ruff check --no-cache --fix .
	@$(RUN) -m ruff format --no-cache .

wheel: $(STAMP)
	@echo "== wheel into dist/"
	@$(RUN) -m pip wheel --quiet --no-deps --wheel-dir dist . && ls -l dist/*.whl

clean:
	@echo "== removing $(VENV), build, dist and caches"
	@rm -rf $(VENV) build dist *.egg-info react_mm/.mim .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean
	@echo "== removing work_dirs and data"
	@rm -rf work_dirs data
