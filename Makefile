# `make test` does its own set-up; `make help` lists the rest.
PY := .venv/bin/python
SCRIPTS := $(wildcard components/scripts/*.sh)

.PHONY: help lint test quick
help:
	@echo "make test   set up .venv and run every test"
	@echo "make quick  the tests that need no lab, with coverage"
	@echo "make lint   ruff, mypy, shellcheck and shfmt"

.venv/.done: requirements.txt requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/pip install -q -r requirements-dev.txt
	touch $@

lint: .venv/.done
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shellcheck -s sh $(SCRIPTS)
	.venv/bin/shfmt -ln posix -i 2 -d $(SCRIPTS)

quick: .venv/.done
	$(PY) -m pytest --cov --cov-report=term-missing

test: .venv/.done
	$(PY) -m pytest
