# `make demo`, `make check` and `make test` do all set-up. PyPI is all that they reach.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache

export UV_LINK_MODE = copy
# Many containers set it. Each process of the tests would then compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check coverage test setup quick-lint lint image faults clean

# The folders of tests that `make test` runs; tests/real needs Docker and Kubernetes, and skips without them.
TESTS ?= tests/unit tests/integration

# How many tests run at a time.
WORKERS ?= 2

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or later is needed; say which with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv is not complete here. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

demo: setup
	@demo/run $(BIN) $(CACHE)/demo

# The runner image for Kubernetes and Batch, such as: make image BASE=python:3.12-slim IMAGE=registry/runner:1
image: setup
	@$(BIN)/python docker/build.py $(if $(BASE),--base $(BASE)) $(if $(IMAGE),--image $(IMAGE))

quick-lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lint: quick-lint
	$(BIN)/mypy

# Tests, and mypy in the time in which they wait. It fails if either does. The second argument is what is done before.
define pytest_beside_mypy
	@mkdir -p $(CACHE)
	@$(BIN)/mypy >$(CACHE)/mypy.txt 2>&1 & types=$$!; $(2) \
	  $(BIN)/pytest --numprocesses=$(WORKERS) $(PYTEST_OPTIONS) $(1); failed=$$?; \
	  wait $$types || failed=1; cat $(CACHE)/mypy.txt; exit $$failed
endef

# Imports that compile 4,000 modules. The first tests start a dozen processes at once, each of which would do so anew.
COMPILE = AIRFLOW_HOME=$(CURDIR)/$(CACHE)/compile $(BIN)/python -W ignore -c "import \
  airflow.api_fastapi.app, \
  airflow.cli.commands.dag_command, airflow.jobs.scheduler_job_runner, airflow.providers.amazon.aws.operators.batch, \
  airflow.providers.cncf.kubernetes.operators.pod, moto.batch.models, moto.s3.responses, moto.server";

# Under a minute on two cores: every test that starts no server and no Airflow.
check: quick-lint
	$(call pytest_beside_mypy,tests/unit)

# Which lines of the package the tests of `make test` run in the processes of pytest; step processes are not counted.
coverage: setup
	$(BIN)/pytest --numprocesses=$(WORKERS) --cov --cov-report=term-missing:skip-covered $(PYTEST_OPTIONS) $(TESTS)

test: quick-lint
	$(call pytest_beside_mypy,$(TESTS),$(COMPILE))

# A longer run of the tests with faults, such as: make faults ROUNDS=500, or for one seed: ROUNDS=1 SEED=17.
# With FAULTS="tests/real/kubernetes/test_kills.py" and others, pods, jobs and Airflow's components are killed.
FAULTS ?= tests/integration/faults
faults: setup
	ROUNDS=$(or $(ROUNDS),100) SEED=$(or $(SEED),1) $(BIN)/pytest --numprocesses=$(WORKERS) -rP $(PYTEST_OPTIONS) \
	  $(FAULTS)

clean:
	rm -rf $(CACHE) build dist
