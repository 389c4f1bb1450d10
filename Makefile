# Needs Python 3.11, 3.12 or 3.13, git and make; installs everything else into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE = $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links --quiet

.PHONY: help demo test test-slow check helm-template docs lock ui clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/runtime ## install, write the sample corpus, materialize everything, show the datasets
	$(BIN)/novoic demo

test: .venv/dev ## install what the tests need and run the quick ones
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: .venv/dev ## run the slow tests
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

check: .venv/dev ## check lint, format, types, and that the definitions load
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dagster definitions validate -w workspace.yaml

helm-template: .venv/dev ## render Dagster's chart, CHART=… or CHART=dagster REPO=…, and check its manifests
	$(BIN)/python -m novoic_assets_tests.deploy.render_chart "$(CHART)" --repo "$(REPO)"

ui: .venv/runtime ## start Dagster's UI
	$(BIN)/dagster dev -w workspace.yaml

docs: .venv/runtime ## write the catalogue of features and the settings into their pages
	$(BIN)/novoic features --into docs/features.md
	$(BIN)/novoic settings --into README.md

lock: .venv/dev ## pin the newest dependencies
	$(COMPILE) -o requirements.txt
	$(COMPILE) --extra kafka --extra kubernetes -o requirements-kubernetes.txt
	$(COMPILE) --group dev --extra kafka --extra kubernetes -o requirements-dev.txt

clean: ## remove the installed packages and caches; keep data and store
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache

.venv/runtime: requirements.txt pyproject.toml
	$(call install,requirements.txt)

.venv/dev: requirements-dev.txt pyproject.toml
	$(call install,requirements-dev.txt)
	touch .venv/runtime

define install
	@test -n "$(PYTHON)" || { echo "Install Python 3.11, 3.12 or 3.13: none is on the PATH"; exit 1; }
	@echo "Installing $(1) into .venv; this takes some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r $(1)
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@
endef
