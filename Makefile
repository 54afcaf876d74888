# make setup       .venv with every framework, pinned by constraints.txt
# make bench       measure the three workloads in the three frameworks, and write a report (under five minutes)
# make test        formatter, linter, type checker and all tests but the long ones; proves each workload in its default variants
# make long        the long tests: precisions, several devices, memory and its lack, a whole run, the pages of the example
# make verify-all  prove every workload, variant and optimizer, on 1 to 8 devices, and catch every planted mistake; tables in docs/
# make faults      do to the runner, its workers and its disks what can go wrong; table in docs/ (ten minutes)
# make sample      prove what has no valid shipped result, and a sample of the rest that the commit draws
# make ci          what continuous integration runs: test, long, faults, fuzz, sample, and every planted mistake
# make example     measure the run in results/example again, its pages and the pictures in docs/ (ten minutes, a quiet machine)
# make fuzz        a minute of odd bytes on what reads runs
# make audit       whether known weaknesses are in the pinned packages; asks PyPI
# make proofs      prove all as verify-all does, and ship the proofs and results with the package

PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest
# Two processes share the tests, a file's stay together; those marked `alone` run after them, one at a time.
BESIDE := -n 2 --dist loadfile

.PHONY: setup bench test long check unit browser security fuzz audit verify verify-all sample mutations proofs faults ci figures example example-pages clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt torch  # first: some machines hold a smaller build of it
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[torch,tf,jax,report,parquet,images,energy,dev]'
	touch $@

bench: setup
	$(BIN)/python -m bench run --impl all --workload all --size tiny --precision fp32 --devices 1

test: setup check browser
	$(PYTEST) $(BESIDE) -m "not long and not alone" $(ARGS)
	$(PYTEST) -m "alone and not long" $(ARGS)

long: setup browser
	$(PYTEST) $(BESIDE) -m "long and not alone" --ignore=tests/faults
	$(PYTEST) -m "long and alone" --ignore=tests/faults

unit: setup
	$(PYTEST) tests/unit tests/contract

check: setup security
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# What is left out, and why, stands in pyproject.toml and beside the line.
security: setup
	$(BIN)/bandit -q -c pyproject.toml -r bench impls report scripts

# Finds stay in tests/fuzz/findings, which the ordinary tests read again; what is worth a second look goes to build/.
FUZZ_SECONDS ?= 60
fuzz: setup
	mkdir -p build/fuzz
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) build/fuzz

# In an environment of its own: what it needs is no part of the package. Fails where a package could not be looked up.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet -c constraints.txt pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# The report is tested in a real browser.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { echo "no chromium: install it, for example with 'apt-get install chromium'" >&2; exit 1; }

# Whatever differs, the table is written; then it is an error. In two halves beside each other, as tracing is no timing.
VERIFY = SAMESTEP_CACHE=build/cache $(BIN)/python -m bench verify --devices 8 --timeout 600 --json
verify: setup
	rm -rf build/cache && mkdir -p build
	$(VERIFY) --workload lm >build/verify-lm.jsonl & $(VERIFY) --workload gan,autoencoder >build/verify.jsonl; wait
	cat build/verify-lm.jsonl >>build/verify.jsonl
	SAMESTEP_CACHE=build/cache $(BIN)/python scripts/tables.py build/verify.jsonl $(SHIP)

verify-all: verify
	$(BIN)/python -m tests.mutations --table docs/parity.md

# Drawn by the commit, or by the day where git does not tell it.
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || date -u +%F)
sample: setup
	rm -rf build/cache && mkdir -p build
	SAMESTEP_CACHE=build/cache $(BIN)/python scripts/sample.py "$(COMMIT)" --devices 8

mutations: setup
	$(BIN)/python -m tests.mutations

proofs:
	$(MAKE) verify SHIP=--ship
	$(BIN)/python scripts/drifts.py

# The table holds what passed: it is written whatever failed, and then that is an error.
faults: setup
	rm -f build/faults-*.json
	$(PYTEST) $(BESIDE) -m "not alone" tests/faults; beside=$$?; $(PYTEST) -m alone tests/faults; alone=$$?; \
	  $(BIN)/python scripts/faults.py && exit $$((beside | alone))

# The tests of faults are run once: by `make faults`, not by `make test` too.
ci:
	$(MAKE) test ARGS=--ignore=tests/faults
	$(MAKE) long
	$(MAKE) faults
	$(MAKE) fuzz
	$(MAKE) sample
	$(MAKE) mutations

# A small run that was measured, its report and a comparison, as they lie in the repository.
example: setup
	rm -rf results/example
	$(BIN)/python -m bench run --impl all --workload all --size tiny --precision fp32,bf16 --devices 2 --repeats 5 \
	  --wait-for-idle --no-report --out results/example
	$(MAKE) example-pages

example-pages: setup
	$(BIN)/python -m bench report results/example
	$(BIN)/python -m bench compare results/example --by impl -o results/example/compare.html >results/example/compare.txt
	$(BIN)/python scripts/picture.py results/example/report.html docs/report.png
	$(BIN)/python scripts/picture.py results/example/compare.html docs/compare.png

# The figures in docs/performance.md and docs/devices.md.
figures: setup
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/reports.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/idiom.py
	$(BIN)/python benchmarks/devices.py cells
	$(BIN)/python benchmarks/devices.py sweep

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis
