# `make` alone tells what there is. Everything works on a fresh Debian that has Python 3.11 or newer, make and git; as root,
# missing Debian packages are installed, otherwise they are named. PYTHON=… chooses the interpreter of .venv.

PY := .venv/bin/python
ENGINE := sqlite

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo demo-check test check lint types test-quick test-fast test-rest test-others browsers redis postgres rabbitmq bench conformance clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv:  ## make .venv with Tidewheel (editable) and its development tools; seconds when nothing changed
	@scripts/venv.sh .venv

demo: venv  ## run the Django example (registration by e-mail); Ctrl-C ends it
	@echo "demo: the Django site, a worker and a mail catcher, all on this machine"
	@$(PY) examples/mydemo/demo.py

demo-check: venv  ## run the Django example once, end to end, and check what it did
	@echo "demo-check: the Django example, end to end"
	@$(PY) examples/mydemo/demo.py --check

test: lint types test-fast test-rest test-others  ## everything: lint, types, all tests, then most of them on other Pythons

check: lint types test-quick  ## what to run before a commit: lint, types, the fast tests without servers; less than 2 minutes

lint: venv  ## ruff and the import contracts
	@echo "lint: ruff, import-linter"
	@.venv/bin/ruff check --quiet .
	@out=$$(.venv/bin/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }

types: venv  ## mypy --strict and pyright (strict)
	@echo "types: mypy, pyright"
	@.venv/bin/mypy
	@.venv/bin/basedpyright

test-quick: venv
	@echo "test-quick: tests without worker processes and without servers"
	@$(PY) -m pytest -n 2 --dist loadfile -m "fast and not server"

test-fast: venv redis postgres rabbitmq  ## tests without worker processes, two at a time (the marker `fast`, given in tests/conftest.py)
	@echo "test-fast: tests without worker processes"
	@$(PY) -m pytest -n 2 --dist loadfile -m fast

test-rest: venv browsers redis postgres rabbitmq  ## the other tests, by file two at a time: workers, kills, the docs' snippets, the example, a real browser
	@echo "test-rest: workers, kills, docs, example, browser"
	@TIDEWHEEL_BROWSER=$$(command -v chromium >/dev/null && echo required) $(PY) -m pytest -n 2 --dist loadfile -m "not fast"

test-others: venv  ## the fast tests and the worker's, on every other Python that is installed
	@scripts/other_pythons.sh

browsers:
	@scripts/debian.sh "the browser tests" chromium chromium-driver

postgres:
	@scripts/postgres.sh

redis:
	@command -v redis-server >/dev/null || scripts/debian.sh "the tests of the Redis engine" redis-server

rabbitmq:
	@test -x /usr/lib/rabbitmq/bin/rabbitmq-server || scripts/debian.sh "the tests of the RabbitMQ engine" rabbitmq-server

bench: venv  ## benchmarks, on SQLite or with ENGINE=redis, postgres or rabbitmq (see benchmarks/README.md)
	@$(PY) -m benchmarks --engine $(ENGINE)

conformance: venv redis postgres rabbitmq  ## run the shipped suite on every engine, and write docs/reference/conformance.md
	@$(PY) -m pytest -q -n 2 --dist loadfile tests --conformance-report docs/reference/conformance.md

clean:  ## remove .venv and everything that tools left behind
	@rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "clean: done"
