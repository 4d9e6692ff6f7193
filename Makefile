# The commands of this project. Each does the set-up that it needs, once.
#   make demo    fine-tune a real language model on two local ranks with ZeRO-2
#   make test    build everything and run every test
#   make bench   compare with DeepSpeed, FSDP2 and DDP on this machine
.PHONY: help setup build build-tests test test-all demo bench format tidy clean
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CCACHE_BASEDIR := $(CURDIR)
SOURCES := CMakeLists.txt pyproject.toml $(shell find src include python cmake tools -type f -not -name '*.pyc' 2>/dev/null)
PIP_INSTALL := .venv/bin/python -m pip --disable-pip-version-check install -q --no-build-isolation --no-deps --force-reinstall

help:  ## this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup:  ## system packages, .deps/ and .venv/
	@scripts/setup

build/.installed: $(SOURCES)
	@scripts/setup
	@echo "[build] the engine, into .venv/ (about 15 minutes the first time on two cores)"
	@mkdir -p build
	@$(PIP_INSTALL) -C cmake.define.DS_BUILD_TESTS=ON . 2> build/install.log || { grep -E 'error|Error' build/install.log | head -n 30; echo "[build] failed; the whole log is build/install.log"; exit 1; }
	@touch $@

build: build/.installed  ## the library, the Python package and the deepspeed command, into .venv/

build-tests: build
	@cmake --build build/release

test: build-tests  ## every test
	@scripts/setup demo
	@scripts/test

test-all: build-tests  ## the long matrices too
	@scripts/setup demo
	@scripts/test --all

demo: build  ## fine-tune SmolLM2-135M on real text, two ranks, ZeRO-2
	@scripts/setup demo
	@scripts/demo

bench: build  ## ratios against the peers; writes benchmarks/results
	@scripts/setup bench
	@scripts/bench

format:  ## clang-format all C++
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format -i

tidy: setup  ## clang-tidy on src/
	@cmake --preset tidy >/dev/null
	@git ls-files 'src/*.cpp' | xargs -P 2 -n 4 clang-tidy -p build/tidy --quiet

clean:  ## remove what was built, not the set-up
	@rm -rf build out
