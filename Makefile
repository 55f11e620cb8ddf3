LOCK = --generate-hashes --no-header --no-annotate --allow-unsafe --no-emit-index-url --no-emit-find-links
.DEFAULT_GOAL := help
.PHONY: help setup builds run test install-test test-engines conformance cluster-test lint bench soak crds lock clean
.SILENT:

# Additional arguments for pytest, for example: make test ARGS="tests/apiserver -x"
ARGS ?=
ENGINES ?=
MINUTES ?= 10
# Each worker process has its own engine, LANs and servers, so that tests of different workers do not interfere.
PARALLEL = --numprocesses=3 --dist=worksteal

help: ## print this list
	grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

setup: ## install what is missing: Debian packages, .venv, the package with its development tools
	scripts/setup.sh

builds: setup ## build the engines and Kubernetes programs that the tests need (takes minutes, once)
	tests/engines/build.sh
	.venv/bin/python -m tests.cluster build

run: setup ## demonstrate the controller on this machine until Ctrl-C (ONCE=1: one tour; DHCP=1: with a leased address)
	ONCE="$(ONCE)" DHCP="$(DHCP)" exec .venv/bin/python -m scripts.demo

test: setup ## run the suite on the installed Docker engine (ARGS: for pytest)
	.venv/bin/pytest $(PARALLEL) $(ARGS)

install-test: setup ## test the README's installation on a stock Debian 12 (needs root and Debian's packages)
	.venv/bin/pytest tests/install -m install $(ARGS)

test-engines: setup ## run the Docker tests on engines 20.10, 28.5 and 29 (ENGINES: some of them; builds the last two, once)
	ENGINES="$(ENGINES)" tests/engines/run.sh $(PARALLEL) $(ARGS)

conformance: setup ## run tests/conformance on a real kube-apiserver and ours, and Kubernetes' own tests on ours (builds them, once)
	.venv/bin/python -m tests.cluster.conformance $(ARGS)

cluster-test: setup ## run the tests on a real Kubernetes cluster with two nodes (needs root; builds it, once)
	.venv/bin/python -m tests.cluster.suite $(ARGS)

lint: setup ## run ruff, mypy, import contracts, shellcheck, and compare the generated CRDs
	scripts/lint.sh

bench: setup ## measure beside raw Docker and Kubernetes in the same run (needs root; ARGS=--help)
	.venv/bin/python -m tests.bench $(ARGS)

soak: setup ## run under kills, faults and malformed input, judged from outside (needs root; MINUTES, ARGS=--help)
	.venv/bin/python -m tests.soak --minutes $(MINUTES) $(ARGS)

crds: setup ## generate crds/ and its copies from the models
	.venv/bin/edge-controller crds --write crds
	.venv/bin/edge-controller crds --write helm/edge-controller/files/crds
	.venv/bin/python -m scripts.packaged_crds

lock: setup ## pin the packages of the image, its build and its tests, from pyproject.toml
	.venv/bin/pip install --quiet pip-tools
	.venv/bin/pip-compile --quiet --upgrade $(LOCK) --strip-extras --output-file requirements.lock pyproject.toml
	.venv/bin/pip-compile --quiet --upgrade $(LOCK) --strip-extras --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	echo 'setuptools>=77' | .venv/bin/pip-compile --quiet --upgrade $(LOCK) --output-file requirements-build.lock -

clean: ## remove .venv, caches and reports
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
