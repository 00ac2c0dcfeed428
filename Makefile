# Every command installs what it needs into .venv first; a second run finds it there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
ARGS ?=
JOBS ?= auto
# A test that fails is tried once more. One that passes only then is listed as RERUN: a defect of that test, to be fixed.
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --reruns 1 --rerun-show-tracebacks

.PHONY: demo setup test check coverage lint lint-scripts types format bench screenshots serve worker lock audit release clean

demo: $(VENV)/.demo
	@$(BIN)/python manage.py demo $(ARGS)

setup: $(VENV)/.test

test: lint
	@$(BIN)/python -m tests.browser
	@echo "== web tests on SQLite"
	@$(PYTEST) --db sqlite tests/jobs tests/survey tests/blindness
	@echo "== whole suite on PostgreSQL"
	@$(PYTEST) --db postgresql

# One file or folder of tests, in seconds: make check FILE=tests/survey/services/test_access.py
check: $(VENV)/.test
	@test -n "$(FILE)" || { echo "name what to check: make check FILE=tests/survey/reports/test_report.py"; exit 2; }
	@$(BIN)/python -m pytest -q --db sqlite $(FILE) $(ARGS)

# Lines and branches of what decides: statistics, rules of the survey, jobs. The figure stands in CONTRIBUTING.md.
COVERED := analysis survey/services jobs
coverage: $(VENV)/.test
	@$(BIN)/python -m pytest -q -n $(JOBS) --db sqlite $(COVERED:%=--cov=%) --cov-branch --cov-report= \
	    tests/analysis tests/jobs tests/survey $(ARGS)
	@for folder in $(COVERED); do printf '%-16s ' $$folder; \
	    $(BIN)/python -m coverage report --include="$$folder/*" --format=total --precision=1 --fail-under=90 || exit 1; done

lint: $(VENV)/.test lint-scripts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/hadolint deploy/*.Dockerfile
	@BLINDPAIR_DATA_DIR=$(VENV)/lint $(BIN)/python manage.py makemigrations --check --dry-run --verbosity 0

# How many errors of types are left in each folder.
types: $(VENV)/.test
	@for folder in analysis config diffusion generation jobs survey training; do printf '%-12s' $$folder; \
	    $(BIN)/python -m mypy $$folder 2>&1 | tail -1; done

# ESLint over the scripts of the pages, which need no build; a machine without npm goes on without it, CI does not.
lint-scripts:
	@if command -v npm >/dev/null; then $(MAKE) --silent node_modules/.package-lock.json && npm run --silent lint; \
	else echo "no npm found: scripts of the pages not checked; install it with apt-get install npm"; test -z "$$BLINDPAIR_REQUIRE_PROGRAMS"; fi

node_modules/.package-lock.json: package.json package-lock.json
	@npm ci --silent --ignore-scripts

format: $(VENV)/.test
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python -m benchmarks.$$(basename $$script .py) || exit 1; done

# The pictures of the guides, taken while a browser follows the tutorial and looks at a run and a report. A test
# says when the pages have changed since.
screenshots: $(VENV)/.test
	@BLINDPAIR_SCREENSHOTS=docs/images $(BIN)/python -m pytest -q --db sqlite tests/e2e/test_tutorial.py \
	    tests/e2e/test_pictures.py --deselect tests/e2e/test_pictures.py::test_the_pictures_of_the_guides_are_of_todays_pages
	@$(BIN)/python -m tests.pages

serve: $(VENV)/.demo
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py runserver --insecure $(ARGS)

worker: $(VENV)/.demo
	@$(BIN)/python manage.py run_jobs $(ARGS)

lock: $(VENV)/.maintain
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lock.sh

audit: $(VENV)/.maintain
	@$(BIN)/python deploy/audit.py

# Version, date and migrations of a release: make release VERSION=0.2.0
release: $(VENV)/.test
	@test -n "$(VERSION)" || { echo "name the version: make release VERSION=0.2.0"; exit 2; }
	@$(BIN)/python deploy/release.py $(VERSION) $(ARGS)

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing (a minute with packages cached)"
	@$(PIP) --editable '.[torch,report,demo]'
	@touch $@

$(VENV)/.maintain: pyproject.toml | $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check 'pip-audit>=2.7' 'uv>=0.5'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing (two minutes with packages cached)"
	@$(PIP) --editable '.[torch,report,demo,prod,sentry,test]'
	@touch $@ $(VENV)/.demo
