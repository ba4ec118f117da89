# Everything happens in .venv; nothing is installed system-wide.
PYTHON ?= python3
ARGS ?=
TESTS ?= test
MINUTES ?= 1

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PURE := $(shell grep '^p2p/' test/pure_modules.txt | paste -sd, -)
# What the tests named in TESTS mirror: test.link all of p2p/link, test.link.test_mux p2p/link/mux.py.
ABOUT := $(shell printf '%s\n' $(TESTS) | sed -E 's|\.test_([a-z0-9_]*).*|/\1.py|; t dots; s|$$|/*|; : dots; s|^test|p2p|; s|\.([a-z])|/\1|g; s|/py$$|.py|' | paste -sd, -)

MAKEFLAGS += --no-print-directory
COVERAGE := $(BIN)/coverage
SIDE_BY_SIDE := $(BIN)/python -m test.side_by_side

# Tests start some two hundred processes; each would compile all of p2p anew where this is set, as in many containers.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test quick lint types docs units durations samples bench fuzz mutants clean
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo "Arguments: make demo ARGS='--pairs 20'. Another Python: make test PYTHON=python3.12."

setup: $(READY) ## make the virtual environment (the others do so by themselves)

# The stamp is written last, so an installation that was broken off is done again.
$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "p2p needs Python 3.11 or newer, and '$(PYTHON)' isn't one. Name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing p2p and its tools in $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: $(READY) ## let 100 pairs talk through two routers, measure it, and make a report
	@$(BIN)/p2p demo $(ARGS)

# All at once; each says what it has to say when it is done, so that nothing is mixed up. What to install, so that no
# test is skipped, comes last, also when something has failed.
test: $(READY) ## check style, types and documents, run all tests, check their coverage
	@$(MAKE) -j --output-sync=target lint types docs units TESTS=test; code=$$?; \
	  $(BIN)/python -m test.needs _trial_temp-*.log; exit $$code

quick: $(READY) ## check what has changed since the last commit, or since BASE=main, and its folders' tests
	@$(BIN)/python -m test.quick $(BASE)

lint: $(READY) ## check style and format with ruff
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Some files aren't formatted: $(BIN)/ruff format ." >&2; exit 1; }
	@echo "ruff: style and format are fine"

types: $(READY) ## check types with mypy
	@$(BIN)/mypy

# Nothing is taken from an earlier build (-E), since what was read then wouldn't warn again.
docs: $(READY) ## make the pages of the documents in docs/_build/html, without a warning
	@$(BIN)/sphinx-build -W -n -E -q --keep-going -d docs/_build/read docs docs/_build/html
	@echo "sphinx: the documents are in docs/_build/html/index.html"

units: $(READY) ## run the tests under branch coverage, with its gates; some of them without: TESTS=test.link
	@$(COVERAGE) erase
	@$(SIDE_BY_SIDE) --coverage $(TESTS)
	@$(COVERAGE) combine --quiet
ifeq ($(TESTS),test)
	@$(COVERAGE) report
	@echo "Pure modules, which need 100 %:"
	@$(COVERAGE) report --include=$(PURE) --fail-under=100
else
	@$(COVERAGE) report --include='$(ABOUT)' --fail-under=0 || true # some tests mirror no module
endif

durations: $(READY) ## measure how long test modules take, so that processes are dealt the same
	@$(COVERAGE) erase
	@$(SIDE_BY_SIDE) --coverage --record test
	@$(COVERAGE) erase

samples: $(READY) ## make the files of data/ again
	@$(BIN)/python data/make_samples.py

bench: $(READY) ## run the benchmarks
	@set -e; for script in bench/*.py; do case $$script in */_*) ;; *) echo "== $$script"; $(BIN)/python $$script $(ARGS);; esac; done

# What fuzzes is large, and installed by whoever wants it.
fuzz: $(READY) ## feed every parser with hostile bytes for MINUTES each
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fuzz]' -c constraints.txt
	@$(BIN)/python -m test.fuzz --minutes $(MINUTES) $(ARGS)

mutants: $(READY) ## put one fault at a time into MODULES (paths, folders, lists) and say which ones no test finds
	@[ -n '$(MODULES)' ] || { echo "Say which: make mutants MODULES='p2p/link/mux.py p2p/router' [ARGS='--sample 50']" >&2; exit 1; }
	@$(BIN)/python -m test.mutants $(ARGS) $(MODULES)

clean: ## remove the virtual environment and whatever tools left behind
	@[ ! -e .dmypy.json ] || $(BIN)/dmypy stop >/dev/null 2>&1 || true
	@rm -rf $(VENV) build dist fuzz-failures docs/_build *.egg-info .coverage .coverage.* .mypy_cache .dmypy.json .ruff_cache .hypothesis _trial_temp*
	@rm -f twisted/plugins/dropin.cache
	@find p2p test bench data twisted .ci -name __pycache__ -prune -exec rm -rf {} +
