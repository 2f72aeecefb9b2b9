# `make test` does its own set-up; `make help` lists the rest.
PY := .venv/bin/python
SCRIPTS := $(wildcard components/scripts/*.sh components/scripts/lib/*.sh components/scripts/look/*.sh) lab/needs.sh
COVERED := --cov --cov-append --cov-report=
# Where root was become by `su`, Debian leaves these out.
export PATH := $(PATH):/usr/sbin:/sbin

.NOTPARALLEL:
.PHONY: help lint test quick sent golden demo demo-down bench campaign
help:
	@echo "make demo       boot three Debian hosts here, run pulumi up on them, and show what it does"
	@echo "make demo-down  run pulumi destroy, compare the hosts with before, and remove them"
	@echo "make test       set up .venv and run every test, those on lab hosts included (root, Linux)"
	@echo "make quick      the tests that need no lab, with coverage"
	@echo "make sent       write components/scripts/sent anew: what is sent to machines, from the scripts beside it"
	@echo "make golden     write tests/golden anew: what is sent and what stands on machines, to be read as a difference"
	@echo "make lint       ruff, mypy, shellcheck and shfmt"
	@echo "make campaign   measure what is promised, on lab hosts, and write docs/reliability.md; an hour or so"
	@echo "make bench      time the stack beside a bare program, on lab hosts; HOSTS='1 20 100' says how many"

# Each command first installs what it needs, or says at once what that is.
needs-%:
	@sh lab/needs.sh $*

.venv/.done: requirements.txt requirements-dev.txt
	.venv/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv .venv
	.venv/bin/pip install -q -r requirements-dev.txt || { echo "needs a way to PyPI; see pip's words above" >&2; exit 1; }
	touch $@

lint: needs-lint .venv/.done
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shellcheck -s sh $(SCRIPTS)
	.venv/bin/shfmt -ln posix -i 2 -d $(SCRIPTS)

# Each tier in a process of its own: Pulumi's mocks, gRPC and asyncssh each keep threads and event loops of theirs.
# The units and the scripts, which are most of the time and start shells, in one for each core.
quick: needs-quick .venv/.done
	rm -f .coverage
	$(PY) -m pytest tests/contract
	$(PY) -m pytest tests/components $(COVERED)
	for tier in tests/unit tests/scripts; do $(PY) -m pytest -n auto $$tier $(COVERED) || exit 1; done
	$(PY) -m coverage report --skip-covered --show-missing --fail-under=95

sent: needs-lint .venv/.done
	$(PY) -m lab.sent

golden: needs-quick .venv/.done
	WRITE_GOLDEN=1 $(PY) -m pytest tests/scripts/test_golden.py

# Three modules side by side, each with a lab of its own, for most of their time is waiting; those that measure times are alone.
test: needs-test quick
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not alone' tests/lab
	$(PY) -m pytest -m alone tests/lab

demo: needs-demo .venv/.done
	$(PY) -m lab.demo up

demo-down: needs-demo-down .venv/.done
	$(PY) -m lab.demo down

bench: needs-bench .venv/.done
	$(PY) -m lab.bench $(if $(BEFORE),--before $(BEFORE)) $(HOSTS)

campaign: needs-campaign .venv/.done
	$(PY) -m lab.campaign
