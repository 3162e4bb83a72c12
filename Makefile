# The whole developer interface. Each target installs what it needs, once per change of the pins.
# The system's own where it can be used: distributions build it with optimisations, and pyenv does not unless it is told to (see
# docs/operations.md). `make PYTHON=python3.13 …` takes another one.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt
# Finding by meaning on this machine; `make run EMBEDDINGS=` does without. Spelled exactly and first, so that a build of torch for
# the CPU is taken where one is on offer.
EMBEDDINGS ?= torch==2.13.0
COMMA := ,

# Much of a test is waiting, so two cores carry three workers. A single file is through before they have started.
WORKERS ?= 3
SHARED = $(if $(findstring .py,$(ARGS)),,-n $(WORKERS))

.PHONY: run test check format bench

run: .venv/.installed ## everything on this machine, on http://127.0.0.1:8000
	@exec $(PY) manage.py up

test: .venv/.installed-dev ## the whole suite; `make test ARGS="-m 'not slow'"` is the quick part
	@$(PY) -m pytest $(SHARED) $(ARGS)

check: .venv/.installed-dev ## format, lint, types, architecture, missing migrations
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy .
	@$(PY) -m pytest -q tests/project/test_architecture.py tests/project/test_migrations.py

format: .venv/.installed-dev
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

bench: .venv/.installed-dev ## the numbers of docs/operations.md, measured here
	@$(PY) -m bench $(ARGS)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("chatai needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing chatai into .venv (a minute or two, once) …"
	@$(if $(EMBEDDINGS),$(PIP) $(EMBEDDINGS),:)
	@$(PIP) -e '.$(if $(EMBEDDINGS),[local-embeddings])'
	@touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing chatai and its tools into .venv (a minute or two, once) …"
	@$(if $(EMBEDDINGS),$(PIP) $(EMBEDDINGS),:)
	@$(PIP) -e '.[dev$(if $(EMBEDDINGS),$(COMMA)local-embeddings)]'
	@touch $@ .venv/.installed
