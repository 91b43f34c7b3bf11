# The same few verbs for a person and for CI. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# uv installs the locked set some ten times faster than pip; where it cannot work, pip does.
INSTALL = install() { $(BIN)/uv pip install --quiet --python $(BIN)/python "$$@" \
  || { $(BIN)/python -m ensurepip --default-pip >/dev/null && $(PIP) "$$@"; }; }; install
DEMO_DATA ?= .demo
HOST ?= 127.0.0.1
PORT ?= 8080

.PHONY: help demo test check format bench soak lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "PaN Commons needs Python 3.11 or newer; name one with make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Installing into $(VENV) ..."
	@# A pip of its own takes the environment longer to get than everything else together.
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-compile \
	  --require-hashes -r requirements/installer.txt 2>/dev/null \
	  || { $(BIN)/python -m ensurepip --default-pip >/dev/null \
	       && $(PIP) --require-hashes -r requirements/installer.txt; }
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/run.stamp ## demo facilities, harvest, server on http://127.0.0.1:8080
	@$(BIN)/pan-commons demo --data $(DEMO_DATA) --host $(HOST) --port $(PORT)

test: $(VENV)/dev.stamp ## every test, on all cores (Elasticsearch too where java and mvn are)
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

check: $(VENV)/dev.stamp ## format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/dev.stamp ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp ## benchmarks, as ratios within one run
	@$(BIN)/python -m benchmarks

soak: $(VENV)/dev.stamp ## the long randomised tests
	@$(BIN)/python -m pytest -m soak

lock: $(VENV)/run.stamp ## renew requirements/*.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  requirements/installer.in -o requirements/installer.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  pyproject.toml requirements/build.in -o requirements/run.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --extra dev pyproject.toml requirements/build.in -c requirements/run.txt -o requirements/dev.txt

clean: ## remove the virtual environment and the demo's data
	rm -rf $(VENV) $(DEMO_DATA)
