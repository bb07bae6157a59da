# Each target does its own set-up and needs nothing before it.
#
#   make run       judge the embedded reference cluster; reports/reference/index.html
#   make test      the project's own tests, the suite against the reference included
#   make samba     bring up a real Samba/CTDB cluster, judge it, take it down; reports/samba-4.22/ (root)
#   make fault-matrix  run the suite against every fault of the reference: reports/fault-matrix/index.html
#   make coverage  how much of each room the tests of `make test` run; fails below the floors in pyproject.toml
#   make mutation  change codec and state machine in one place at a time, and see that a test notices
#   make check     linters and type checker

VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test samba fault-matrix coverage mutation check lock clean venv
.DEFAULT_GOAL := run

venv:
	@VENV=$(VENV) tools/bootstrap

run: venv
	@$(BIN)/swn-torture run --report reports/reference

test: venv
	@$(BIN)/pytest -q -n auto tests

samba: venv
	@$(BIN)/python tools/samba.py

# FAULT_MATRIX='--scope functions' also runs one case of every other function, and writes docs/faults.md: half an
# hour, or with --resume only what is new.
fault-matrix: venv
	@$(BIN)/python tools/fault_matrix.py $(FAULT_MATRIX)

# COVERED='tests/dcerpc tests/server' has only these tests counted.
COVERED ?= tests
coverage: venv
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n auto $(COVERED)
	@$(BIN)/coverage combine -q
	@$(BIN)/python tools/covered.py

# Some minutes; writes docs/mutation.md. MUTATION='-j 8' uses more processes.
mutation: venv
	@$(BIN)/python tools/mutation.py $(MUTATION)

check: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# Locks every dependency with its hashes; needs uv on the PATH.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build/mutation
