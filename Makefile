# Each target does its own set-up and needs nothing before it.
#
#   make run       test the embedded reference cluster; reports/reference/index.html
#   make test      the project's own tests, including the suite against the reference
#   make test-all  the same, without leaving anything to the gate (tests/examples.py)
#   make swarm     install the optional extra for `swn-torture swarm`
#   make kerberos  build the optional extra for Kerberos, so that `make test` tests it, too (some minutes, a compiler)
#   make samba     start a real Samba/CTDB cluster, test it, remove it; reports/samba-4.22/ (root)
#   make fault-matrix  run the suite against every fault of the reference: reports/fault-matrix/index.html
#   make innocence-matrix  run the suite against unusual servers that conform: docs/innocence.md
#   make published  write reports/matrix.html from the published results in reports/published/
#   make site      write the documents as a site: build/site/index.html
#   make release   build wheel, sdist, SBOM and the list of licences: dist/
#   make coverage  how much of each room the tests of `make test` run; fails below the floors in pyproject.toml
#   make mutation  change codec and state machine in one place at a time, and check that a test notices
#   make fuzz      feed the readers of PDUs, stub data, tokens, profiles and results with changed inputs
#   make check     linters and type checker

VENV ?= .venv
BIN := $(VENV)/bin
# Images of containers set it; then each process compiles the suite anew, which is a third of a short run.
unexport PYTHONDONTWRITEBYTECODE
# Most tests wait most of the time, so three fit on one processor. Each takes up to 250 MB.
PROCESSES := $(shell n=$$((3 * $$(nproc))); echo $$((n > 24 ? 24 : n)))

.PHONY: run test test-all fuzz kerberos swarm samba fault-matrix innocence-matrix published site release coverage mutation check lock clean venv
.DEFAULT_GOAL := run

venv:
	@VENV=$(VENV) tools/bootstrap

run: venv
	@$(BIN)/swn-torture run --report reports/reference

test: venv
	@$(BIN)/pytest -q -n $(PROCESSES) --dist worksteal tests

test-all:
	@SWN_TORTURE_ALL_EXAMPLES=1 $(MAKE) --no-print-directory test

kerberos: venv
	@VENV=$(VENV) tools/kerberos

# The extra for `swn-torture swarm`, so that `make test` tests it, too.
swarm: venv
	@$(BIN)/pip install -q --require-hashes -r requirements/swarm.txt

# FUZZ='pdu tokens --seconds 600' fuzzes two targets for ten minutes each; the default is all, a minute each.
fuzz: venv
	@$(BIN)/pip install -q --require-hashes -r requirements/fuzz.txt
	@$(BIN)/python tools/fuzz.py $(FUZZ)

samba: venv
	@$(BIN)/swn-torture gate samba --report reports/samba-4.22

# FAULT_MATRIX='--scope functions' also runs one case of every other function, and writes docs/faults.md: an hour,
# or with --resume only what is new.
fault-matrix: venv
	@$(BIN)/python tools/fault_matrix.py $(FAULT_MATRIX)

# INNOCENCE_MATRIX='--sample 4 --scope functions' runs a sample, and writes no page; the whole takes about an hour.
innocence-matrix: venv
	@$(BIN)/python tools/innocence_matrix.py $(INNOCENCE_MATRIX)

# COVERED='tests/dcerpc tests/server' has only these tests counted.
COVERED ?= tests
coverage: venv
	@$(BIN)/coverage erase
	@SWN_TORTURE_ALL_EXAMPLES=1 $(BIN)/coverage run -m pytest -q -n $(PROCESSES) $(COVERED)
	@$(BIN)/coverage combine -q
	@$(BIN)/python tools/covered.py

# PUBLISHED="--add NAME RESULTS" publishes the results of a run first.
published: venv
	@$(BIN)/python tools/published.py $(PUBLISHED)

# The documents, and a page for each section and each case: build/site/index.html.
site: venv
	@VENV=$(VENV) tools/site

# dist/: wheel, sdist, SBOM (CycloneDX) and the licences of the dependencies.
release: venv
	@VENV=$(VENV) tools/release

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
	echo 'pyspnego[kerberos]' | uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header -c requirements/dev.txt - -o requirements/kerberos.txt
	printf 'locust>=2.40,<3\nhdrhistogram>=0.10\n' | uv pip compile -q --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header -c requirements/dev.txt - -o requirements/swarm.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	printf 'build\ncyclonedx-bom\nhatchling\npip-licenses\n' | uv pip compile -q --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header - -o requirements/release.txt
	# Later versions of atheris have no package for Python 3.11.
	echo 'atheris>=3.0,<3.1' | uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header -c requirements/dev.txt - -o requirements/fuzz.txt
	echo 'mkdocs-material>=9.7' | uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header -c requirements/dev.txt - -o requirements/site.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build/mutation
