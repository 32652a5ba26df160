# The commands of Omneo Identity. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
SIZE ?= 1000000
TESTS := DJANGO_SETTINGS_MODULE=tests.settings

# Images of containers turn it on, and every process of a run would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test proof browser bench screenshots run format
.PHONY: check-style check-types check-imports check-django check-schema
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed  ## Try the product on sample data at 127.0.0.1:8000 (PORT= changes it)
	@exec $(BIN)/python -m omneo_identity.demo

run: .venv/installed  ## Serve real data; the README lists the settings that it demands
	@exec $(BIN)/python -m omneo_identity.serve

test: .venv/installed-dev  ## Check formatting, lint, types, import rules, migrations and schema, then run the tests
	@$(MAKE) --no-print-directory --jobs check-style check-types check-imports check-django check-schema
	$(BIN)/pytest --numprocesses auto --dist loadgroup

check-style:
	$(BIN)/ruff format --check
	$(BIN)/ruff check

check-types:
	$(BIN)/mypy

check-imports:
	$(BIN)/lint-imports

check-django:
	$(TESTS) $(BIN)/python manage.py check --fail-level WARNING
	$(TESTS) $(BIN)/python manage.py makemigrations --check --dry-run

check-schema:
	$(TESTS) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

proof: .venv/installed-dev  ## Run the long forms of the tests: more rounds, more threads, the commands as a user runs them
	$(BIN)/pytest -m slow --numprocesses auto --dist loadgroup

browser: .venv/installed-dev  ## Run the tests in a real browser; needs the Debian package chromium
	$(BIN)/pytest -m browser

bench: .venv/installed-dev  ## Measure everything beside what people would use instead (SIZE=1000000 profiles); needs the Debian package wrk
	$(BIN)/python -m tests.benchmarks --size $(SIZE)

screenshots: .venv/installed-dev  ## Take the README's pictures anew, from the demo; needs chromium too
	$(BIN)/python -m tests.browser.screenshots

format: .venv/installed-dev  ## Format the code, and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Stamps, so that pip runs only when the pins have changed.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Omneo Identity needs Python 3.11 or later, and $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	@echo "Installing requirements.txt into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# All at once, since pip takes as long to find that half of it is there.
.venv/installed-dev: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Installing requirements-dev.txt into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch .venv/installed $@
