# `make demo` and `make test` are all that a fresh machine needs: Python 3.11 to 3.13 and make.
PYTHON ?= python3
DEMO := .venv/demo
DEV := .venv/dev
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint bench soak requirements clean

demo: $(DEMO)/ready
	$(DEMO)/bin/python -m edge.demo

test: $(DEV)/ready
	$(DEV)/bin/python -m pytest --numprocesses 2 --dist loadfile

lint: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

bench: $(DEV)/ready
	$(DEV)/bin/python tests/bench.py
	$(DEV)/bin/python tests/bench_edge.py latency
	$(DEV)/bin/python tests/bench_edge.py warm --frames 3000
	$(DEV)/bin/python tests/bench_edge.py throughput

# Half an hour of torn ports, stopped brokers and a full disk; its two-minute form is among the tests.
soak: $(DEV)/ready
	$(DEV)/bin/python tests/soak.py --minutes 30 --json soak.json

# The Pi runtime, pinned: one file for Python 3.11 to 3.13 on aarch64 and x86-64.
requirements: $(DEV)/ready
	$(DEV)/bin/uv pip compile --universal --python-version 3.11 --no-build --no-header --quiet \
		--no-annotate pyproject.toml --output-file requirements.txt

# The runtime alone, as on a Pi: no torch, no tensorflow, no compiler.
$(DEMO)/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(PIP) --only-binary :all: --requirement requirements.txt
	$(DEMO)/bin/python $(PIP) --no-deps --editable .
	touch $@

# torch first and at exactly this version: the converter's own range would pull a newer one with CUDA.
$(DEV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) torch==2.13.0
	$(DEV)/bin/python $(PIP) --requirement requirements.txt --editable ".[train,convert,dev]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
