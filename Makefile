# Everything a contributor runs. Works with GNU make 3.81 (macOS) and later; needs only
# a Python from 3.11 to 3.13 and, the first time, a package index.
#
# Environments are built by scripts/environment.sh, which prints the Python to use;
# .venv links to the latest. ARGS passes options on:  make demo ARGS="--files 50"

.PHONY: help demo test check bench clean
.DEFAULT_GOAL := help

# What the caller's shell offers to Python must not reach the environments.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help:
	@echo 'make demo    index the standard library, kill -9 the worker half-way, go on'
	@echo 'make test    the test-suite; core and simulator on every other Python here'
	@echo 'make check   format, lint, types, layers'
	@echo 'make bench   measure; ARGS="W10 --seconds 5" selects'
	@echo 'make clean   remove environments, caches and whatever was built'
	@echo 'Options go in ARGS; PYTHON=/path/to/python3.12 chooses the interpreter.'

demo:
	@python=$$(scripts/environment.sh base) && \
	"$$python" -m examples.index_stdlib $(ARGS)

# On every core; ARGS="-n0 …" on one. The other interpreters are tried also when the
# first has failed.
test:
	@python=$$(scripts/environment.sh dev) && status=0; \
	[ -n "$$python" ] || exit 1; \
	"$$python" -m pytest -n auto $(ARGS) || status=1; \
	scripts/test_other_pythons.sh || status=1; \
	exit $$status

# Every checker speaks, also after another has failed.
check:
	@python=$$(scripts/environment.sh dev) && status=0; \
	[ -n "$$python" ] || exit 1; \
	"$$python" -m ruff format --check . || status=1; \
	"$$python" -m ruff check . || status=1; \
	"$$python" -m mypy build/src/everact/actors build/src/everact/runtime \
		tests benchmarks examples scripts || status=1; \
	"$$(dirname "$$python")/lint-imports" --no-logo || status=1; \
	exit $$status

bench:
	@python=$$(scripts/environment.sh bench) && \
	"$$python" -m benchmarks $(ARGS)

clean:
	rm -rf .venv .venv.new build dist *.egg-info .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
