# The vocabulary of people and CI alike; `make` lists it.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# dg asks which environment it is in; dbt and MLflow are asked not to report usage.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

PYTHON ?=
TRIALS ?=
DEMO ?=
PORT ?= 3000
MLFLOW_PORT ?= 5000
METRICS_PORT ?= 9100
SERVE_PORT ?= 8080
TRAFFIC ?= 0
TESTS ?=
BENCH ?=
AGAINST ?= main
START ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check check-format check-lint check-types check-dg check-dbt check-sql bench \
        dbt-ci format lock clean FORCE

help: ## List what can be made.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from requirements.lock (PYTHON=python3.12 chooses the interpreter).

# An interpreter that is named is compared with the one in the environment each time.
$(READY): requirements.lock pyproject.toml .ci/setup .ci/uv.txt $(if $(PYTHON),FORCE)
	@PYTHON="$(PYTHON)" .ci/setup $(VENV)
	@touch $@

demo: setup ## The main job: a year of flights through the platform, and the report (TRIALS=5; DEMO=fraud: the stream; DEMO=fleet).
	$(BIN)/mlops demo $(DEMO) $(if $(TRIALS),--trials $(TRIALS))

up: setup ## Dagster, daemon, MLflow, metrics, the online service (PORT= MLFLOW_PORT= METRICS_PORT= SERVE_PORT= TRAFFIC=5).
	@$(BIN)/mlops up --port $(PORT) --mlflow-port $(MLFLOW_PORT) --metrics-port $(METRICS_PORT) \
	  --serve-port $(SERVE_PORT) --traffic $(TRAFFIC)

# A part runs in one process, which starts sooner; the whole suite on all cores, file by file, and so does the fast part.
CORES := -n auto --dist loadfile --no-loadscope-reorder
FAST := tests/core --ignore=tests/core/models/families -m "not slow and not process and not simulates"
test: setup ## The whole suite (TESTS=fast: most of the pure half, in half a minute; TESTS="tests/core -k gate" runs a part).
	env -u MLOPS_HOME -u DAGSTER_HOME -u MLFLOW_TRACKING_URI -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest $(if $(filter fast,$(TESTS)),$(FAST) $(CORES),$(or $(TESTS),$(CORES)))

check: check-format check-lint check-types check-dg check-dbt check-sql ## Format, lint, types, Dagster, dbt, SQL.

check-format: setup
	$(BIN)/ruff format --check .

check-lint: setup
	$(BIN)/ruff check .

check-types: setup
	$(BIN)/mypy

# Both load the project as Dagster would, in a home that is thrown away.
check-dg: setup
	$(BIN)/dg check yaml
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	  echo "dg check defs" && MLOPS_HOME="$$home" $(BIN)/dg check defs

# In a target folder of its own: the running platform reads the manifest in dbt_project/target.
check-dbt: setup
	$(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project --target-path target/check

check-sql: setup
	$(BIN)/sqlfluff lint dbt_project/models

dbt-ci: setup ## Build and test what differs from AGAINST=main in dbt, and what depends on it, in a scratch schema.
	$(BIN)/mlops dbt-ci --against $(AGAINST) $(if $(START),--start $(START))

bench: setup ## The benchmarks, as ratios in one run; the table goes to benchmarks/results.md (BENCH="--quick demo").
	$(BIN)/python benchmarks/run.py $(BENCH)

format: setup ## Format Python, and fix what ruff can fix.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock: export PATH := $(CURDIR)/$(BIN):$(PATH)
lock: setup ## Resolve requirements.lock anew: exact versions with hashes, no index address, no local path.
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group dev --all-extras \
	  pyproject.toml -o requirements.lock
	echo "uv>=0.9" | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" - -o .ci/uv.txt

clean: ## Remove the environment and all caches; homes (.mlops) are kept.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -not -path './.mlops/*' -prune -exec rm -rf {} +
