# `make demo` runs the main job, `make test` everything that must pass; both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SHARDS ?= 64

.PHONY: setup demo test lint check-rust check-python clean

demo: setup
	$(BIN)/python examples/word_count.py --num_shards=$(DEMO_SHARDS)

test: setup lint
	cargo test --release --quiet
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cargo fmt --check
	cargo clippy --release --all-targets --quiet -- -D warnings

setup: $(VENV)/built

# The native core, rebuilt when its sources change.
$(VENV)/built: $(VENV)/ready $(wildcard rust/src/*.rs) rust/Cargo.toml Cargo.toml Cargo.lock
	$(BIN)/maturin develop --release --quiet
	@touch $@

$(VENV)/ready: pyproject.toml | check-python check-rust
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

check-python:
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Gaia needs Python 3.11 or later with its venv module; name one as: make PYTHON=python3.12" >&2; \
	  exit 1; }

check-rust:
	@command -v cargo >/dev/null || { \
	  echo "Gaia's core is built with Rust 1.87 or later: install it from https://rustup.rs and try again" >&2; \
	  exit 1; }

clean:
	rm -rf $(VENV) target out gaia/_core*.so
