# setup  install everything this checkout needs; the command is then .venv/bin/qm-sip
# demo   the main job, beside a real Asterisk, as it happens
# test   every test; lint   every rule; bench   the figures of docs/performance.md
# fuzz   every target of tests/torture and rust/fuzz for FUZZ_SECONDS each
# interop   every peer in every scenario (`test` plays a few of them), and docs/interop.md from it
SHELL := /bin/bash
BIN   := .venv/bin
RUST  := $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null | grep -v /target/) Cargo.toml Cargo.lock
WORDS := $(shell find config -path '*prompts*' -name '*.toml' 2>/dev/null)

# Tests with real processes and real time mostly wait; those of plain objects take what CPU is left meanwhile.
WIRE  := tests/media tests/bench tests/cli tests/wire tests/faults tests/demo tests/interop
REAL  := $(WIRE) tests/asterisk
PURE  := $(filter-out $(REAL) tests/support tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/ tests/test_*.py)))
RANDOM := tests/simulation tests/call/test_histories.py

.PHONY: setup demo test test-rust test-pure test-random test-wire test-asterisk test-deep fuzz interop lint bench format asterisk clean

setup: .venv/.prompts

.venv/.packages: tools/packages
	@tools/packages
	@mkdir -p .venv && touch $@

.venv/.python: .venv/.packages pyproject.toml constraints.txt
	python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt maturin
	@touch $@

# One build, optimised: the audio path is never run any other way.
.venv/.built: .venv/.python $(RUST)
	VIRTUAL_ENV=$(CURDIR)/.venv PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	  $(BIN)/maturin develop --quiet --release --locked -E softphone,demo,bench,scan,dev
	@touch $@

.venv/.prompts: .venv/.built $(WORDS)
	$(BIN)/qm-sip prompts build --config config
	$(BIN)/qm-sip prompts build --config config/examples/load
	@touch $@

asterisk: setup
	@$(BIN)/python -m qm_sip.demo.chroot

demo: setup
	$(BIN)/qm-sip demo

test: setup test-rust
	+@$(MAKE) --no-print-directory --keep-going -j 4 --output-sync=target test-asterisk test-wire test-random test-pure

test-rust: setup
	cargo test --quiet --workspace
	cargo test --quiet -p qm-media --features mutants --test histories

test-pure: setup
	chrt --idle 0 $(BIN)/python -m pytest -n 2 --dist loadscope --timeout 900 $(filter-out $(RANDOM),$(PURE)) $(addprefix --ignore=,$(RANDOM))

# Random histories: the longest by far, each batch on its own.
test-random: setup
	chrt --idle 0 $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 900 $(RANDOM)

# On loopback addresses of this machine: one at a time.
test-wire: setup
	$(BIN)/python -m pytest $(WIRE)

# Each file in network namespaces of its own.
test-asterisk: setup
	$(BIN)/python -m pytest tests/asterisk

# More of the same: longer random histories, more kills.
test-deep: setup
	QM_SIP_TEST_DEPTH=deep $(BIN)/python -m pytest tests --timeout 1800

FUZZ_SECONDS ?= 60
FUZZED := $(notdir $(wildcard tests/torture/corpus/*))

.venv/.fuzzer: .venv/.built
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt atheris
	@touch $@

fuzz: setup .venv/.fuzzer
	@for target in $(sort $(FUZZED)); do \
	  $(BIN)/python -m tests.torture.fuzz $$target --seconds $(FUZZ_SECONDS) || exit 1; done
	@cd rust/fuzz && cargo metadata --quiet --format-version 1 >/dev/null # its lock follows the engine's
	@for target in $(notdir $(wildcard rust/fuzz/corpus/*)); do rust/fuzz/run $$target $(FUZZ_SECONDS) || exit 1; done

interop: setup
	QM_SIP_INTEROP=whole QM_SIP_INTEROP_RESULTS=.venv/interop.json \
	  $(BIN)/python -m pytest -n 4 --dist loadgroup tests/interop/test_matrix.py; failed=$$?; \
	  $(BIN)/python -m tests.interop.page .venv/interop.json && exit $$failed

lint: .venv/.built
	$(BIN)/ruff format --check qm_sip tests bench
	$(BIN)/ruff check qm_sip tests bench
	$(BIN)/mypy
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

format: .venv/.built
	$(BIN)/ruff check --fix-only --quiet qm_sip tests bench
	$(BIN)/ruff format qm_sip tests bench
	cargo fmt --all

bench: setup
	$(BIN)/python -m bench

clean:
	rm -rf .venv target demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name '*.so' -path './qm_sip/*' -delete
