# The commands of this project. Each does the set-up that it needs, once.
#   make demo    fine-tune a real language model on two local ranks with ZeRO-2
#   make test    build everything and run every test
#   make bench   compare with DeepSpeed, FSDP2, DDP, Gloo and torch on this machine
.PHONY: help setup build build-tests test test-all demo bench format tidy clean
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CCACHE_BASEDIR := $(CURDIR)
SOURCES := CMakeLists.txt pyproject.toml $(shell find src include python cmake tools -type f -not -name '*.pyc' 2>/dev/null)
# What is installed lies in .venv/, and so does the stamp, which names the torch that it was built with. Without a build
# tree it is a name that never exists.
TORCH := $(shell .venv/bin/python scripts/find_torch 2>/dev/null | head -n 1)
INSTALLED := .venv/.deepspeed-with-torch-$(TORCH)$(if $(wildcard build/release/build.ninja),,-without-build)

help:  ## this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup:  ## system packages, .deps/ and .venv/
	@scripts/setup

$(INSTALLED): $(SOURCES)
	@scripts/setup
	@scripts/install

build: $(INSTALLED)  ## the library, the Python package and the deepspeed command, into .venv/

build-tests: build
	@cmake --build build/release

test: build-tests  ## every test
	@scripts/setup test
	@scripts/test

test-all: build-tests  ## the long matrices too
	@scripts/setup test-all
	@scripts/test --all

demo: build  ## fine-tune SmolLM2-135M on real text, two ranks, ZeRO-2
	@scripts/setup demo
	@scripts/demo

bench: build  ## ratios against the peers; writes benchmarks/results
	@scripts/setup bench
	@scripts/bench

format:  ## clang-format all C++
	@command -v clang-format >/dev/null || { echo "please type: sudo apt-get install clang-format"; exit 1; }
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format -i

tidy: setup  ## clang-tidy on src/
	@command -v clang-tidy >/dev/null || { echo "please type: sudo apt-get install clang-tidy"; exit 1; }
	@cmake --preset tidy >/dev/null
	@git ls-files 'src/*.cpp' | xargs -P 2 -n 4 clang-tidy -p build/tidy --quiet

clean:  ## remove what was built, not the set-up
	@rm -rf build out
