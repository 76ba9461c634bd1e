# `make demo` runs the main job, `make test` everything that must pass, `make docs` builds the
# documentation into out/docs and checks its links, `make fuzz` looks for inputs
# that break a decoder, `make chaos` kills runs at random moments (5 to 10 minutes), `make bench`
# measures Gaia beside its peers (half an hour, 10 GB of disk); each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SHARDS ?= 64
CHAOS_SEEDS ?= 200

FUZZ_SECONDS ?= 60
FUZZ_ARGS ?=

# A text for the screenshots, in place of a made one of SHOTS_MIB.
SHOTS_TEXT ?=
SHOTS_MIB ?= 1024

BENCH_TEXT ?=
BENCH_MIB ?= 1024
BENCH_REPEATS ?= 3
BENCH_ARGS ?=

.PHONY: setup demo test docs docs-links fuzz chaos bench screenshots lint check-rust check-python clean

demo: setup
	$(BIN)/python examples/word_count.py --num_shards=$(DEMO_SHARDS)

# With caches of bytecode, workers that are started afresh are there sooner.
test: setup lint
	cargo test --release --quiet
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

# Warnings are errors: links between pages, to headings and to files that are not there, too.
docs: setup $(VENV)/docs-ready
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs out/docs
	@echo out/docs/index.html

# Links to elsewhere; needs the internet.
docs-links: setup $(VENV)/docs-ready
	$(BIN)/sphinx-build --quiet --builder linkcheck docs out/docs-links

# Every decoder for FUZZ_SECONDS; FUZZ_ARGS go to run.py, such as `--target csv --seed 7`.
fuzz: setup
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

# BENCH_TEXT is a text to use instead of a made one of BENCH_MIB; BENCH_ARGS go to run.py.
bench: setup $(VENV)/bench-ready
	$(BIN)/python benchmarks/run.py --report benchmarks --repeats $(BENCH_REPEATS) \
	  --mib $(BENCH_MIB) $(if $(BENCH_TEXT),--text '$(BENCH_TEXT)') $(BENCH_ARGS)

# The pictures in docs/img, of real runs; it needs chromium and a few minutes.
screenshots: setup
	$(BIN)/python docs/screenshots.py --mib $(SHOTS_MIB) $(if $(SHOTS_TEXT),--text '$(SHOTS_TEXT)')

chaos: setup
	$(BIN)/python tests/chaos/chaos.py --seeds $(CHAOS_SEEDS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cargo fmt --check
	cargo clippy --release --all-targets --quiet -- -D warnings

setup: $(VENV)/built

# The native core, rebuilt when its sources change.
$(VENV)/built: $(VENV)/ready $(wildcard rust/src/*.rs rust/src/*/*.rs) rust/Cargo.toml Cargo.toml Cargo.lock
	PIP_QUIET=1 $(BIN)/maturin develop --release --quiet
	@touch $@

$(VENV)/ready: pyproject.toml | check-python check-rust
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/bench-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

check-python:
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Gaia needs Python 3.11 or later with its venv module; name one as: make PYTHON=python3.12" >&2; \
	  exit 1; }

check-rust:
	@command -v cargo >/dev/null || { \
	  echo "Gaia's core is built with Rust 1.88 or later: install it from https://rustup.rs and try again" >&2; \
	  exit 1; }

clean:
	rm -rf $(VENV) target out gaia/_core*.so
