# Everything goes through .venv, so nothing has to be installed by hand but Python >= 3.11 and make.
# Go >= 1.26 builds the peers (cosign, registries, a private Sigstore) that the integration tests run against.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK   := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

PYTEST_JOBS ?= auto
PYTEST_ARGS ?=
BENCH_ARGS  ?=

.PHONY: help
help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMPS)/project ## Make .venv and install the locked dependencies and modelseal into it

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed and was not found; install it or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/lock: requirements-dev.lock $(STAMPS)/venv
	@echo "installing the locked dependencies into $(VENV)"
	@$(PIP) install --require-hashes --no-deps -r $<
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/lock
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@$(BIN)/python -m compileall -q src  # as pip does for what is not editable: 0.1 s of each start
	@touch $@
	@echo "installed: $(BIN)/modelseal"

$(STAMPS)/demo: requirements-demo.lock $(STAMPS)/project
	@echo "installing what the demo trains its model with"
	@$(PIP) install --require-hashes --no-deps -r $<
	@touch $@

# The reference implementation of OMS: a peer in Python, with an environment and a lock of its own.
$(STAMPS)/model-signing: tools/peers/model-signing/requirements.lock $(STAMPS)/venv
	@echo "installing model_signing, which the tests compare with, into $(VENV)/peers/model-signing"
	@$(BIN)/python -m venv --clear $(VENV)/peers/model-signing
	@$(VENV)/peers/model-signing/bin/python -m pip --disable-pip-version-check --quiet \
		install --require-hashes --no-deps -r $<
	@touch $@

.PHONY: demo
demo: $(STAMPS)/demo ## Train a small real model; publish, verify, pull and load it; then break it
	@$(BIN)/python examples/demo.py

.PHONY: test
test: install system-packages peers-if-possible lint ## Install, build peers, lint, and run the whole suite with branch coverage
	@$(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist loadfile --cov --cov-branch --cov-report=term $(PYTEST_ARGS)

.PHONY: unit
unit: install ## Run the tests that need no peers
	@$(BIN)/python -m pytest -n $(PYTEST_JOBS) --ignore=tests/integration --ignore=tests/e2e $(PYTEST_ARGS)

.PHONY: lint
lint: install ## Check style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

.PHONY: format
format: install ## Rewrite the code in the agreed style
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: peers
peers: install $(STAMPS)/model-signing ## Build the programs that the integration tests run against (needs Go)
	@$(BIN)/python tools/peers/build.py

.PHONY: peers-if-possible
peers-if-possible: install $(STAMPS)/model-signing system-packages
	@$(BIN)/python tools/peers/build.py --optional

# What the peers and the tests need beside Python and Go, as COMMAND:DEBIAN-PACKAGES: the CT log is built with
# cgo, keys are encrypted as people do it, PKCS#11 needs a token, quotes need a TPM. Only a machine with Go,
# without these, and where we are root is touched.
SYSTEM := cc:gcc,libc6-dev git:git openssl:openssl softhsm2-util:softhsm2 swtpm:swtpm tpm2_quote:tpm2-tools

.PHONY: system-packages
system-packages:
	@for need in $(SYSTEM); do \
		command -v "$${need%%:*}" >/dev/null || missing="$$missing $$(echo "$${need#*:}" | tr , ' ')"; \
	done; \
	if [ -n "$$missing" ] && command -v go >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing Debian packages:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.PHONY: bench
bench: peers ## Run the benchmarks beside the peers (minutes, and 8 GiB of memory or disk)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: lock
lock: ## Lock the dependencies anew (needs uv)
	@$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock
	@$(LOCK) -c requirements-dev.lock requirements-demo.in -o requirements-demo.lock
	@$(LOCK) tools/peers/model-signing/requirements.in -o tools/peers/model-signing/requirements.lock

.PHONY: clean
clean: ## Remove .venv, caches and build outputs (built peers stay in their cache)
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
