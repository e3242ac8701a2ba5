# Redoubt: `make help` lists what can be made. Only python3 and make are needed to begin.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml uv.lock
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(VENV) UV_COMPILE_BYTECODE=1 $(BIN)/uv sync --quiet --inexact --frozen --extra postgres
	@$(BIN)/python -m compileall -q src
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Make the virtual environment with everything in it

.PHONY: lint
lint: setup ## Check style, types and the floors of the architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# What tests need from Debian. Installed where we are root and apt is there; elsewhere those tests skip.
DEBIAN_PACKAGES := docker-registry skopeo rpm python3-rpm db5.3-util libmaven3-core-java default-jdk-headless \
	node-semver mmdebstrap python3-apt golang-go golang-golang-x-mod-dev \
	ruby php-cli php-composer-semver pacman-package-manager postgresql curl chromium iproute2 \
	clang libbpf-dev runc busybox-static zsh fish

.PHONY: test-packages
test-packages:
	@missing=$$(for package in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing for the tests:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "Tests that need these packages will skip:" $$missing; fi

.PHONY: probe
probe: setup ## Build the collector's probe (needs clang and libbpf-dev; without them it says so)
	@$(BIN)/python scripts/make_probe.py --if-possible

.PHONY: test
test: setup test-packages probe ## Run all tests (as root, installs the Debian packages that they use)
	@$(BIN)/pytest -q -n 2 --dist worksteal

.PHONY: unit
unit: setup ## Run the unit tests only
	@$(BIN)/pytest -q -n 2 --dist worksteal tests/unit

.PHONY: faults
faults: setup test-packages probe ## Kill and restart a secured cluster's services in all 24 orders, together and in turn (15 minutes)
	@REDOUBT_FAULTS=all $(BIN)/pytest -q tests/e2e/test_secured_faults.py

.PHONY: format
format: setup ## Write the code in the style that `make lint` checks
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: demo
demo: setup ## Build an image out of real packages; scan it on the spot, then through an offline Central
	@$(BIN)/python scripts/demo.py build/demo

.PHONY: run
run: setup ## The same as demo, and leave Central running
	@$(BIN)/python scripts/demo.py build/run --stay

.PHONY: image
image: setup probe ## Make a container image of Redoubt for clusters, build/image/redoubt.tar (as root, with mmdebstrap)
	@$(BIN)/python scripts/image.py build/image

.PHONY: bench
bench: setup ## Measure against the floors and Syft; writes docs/benchmarks.md
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(VENV) $(BIN)/uv sync --quiet --inexact --frozen --group bench
	@$(BIN)/python bench/run.py

.PHONY: starter
starter: setup ## Make the starter definitions anew, from MIRROR=DIR
	@$(BIN)/python scripts/make_starter.py "$(MIRROR)"

.PHONY: modules
modules: setup ## Write docs/modules.md out of the modules' docstrings
	@$(BIN)/python scripts/module_index.py

.PHONY: protos
protos: setup ## Write the Python stubs of the protocol definitions beside them
	@$(BIN)/python scripts/make_protos.py

.PHONY: clean
clean: ## Remove what make made
	rm -rf $(VENV) build dist .bench
