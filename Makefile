# Every target makes the environment that it needs, in .venv, and updates it when
# setup.cfg has changed. You only need Python 3.11 or newer.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BACKENDS ?= tensorflow jax torch

# To run one backend only: make test KERAS_BACKEND=jax
ifeq ($(origin KERAS_BACKEND),command line)
BACKENDS := $(KERAS_BACKEND)
endif

# Builds of the backends for the CPU. For Linux on x86-64, TensorFlow has a small one.
ifeq ($(shell uname -sm),Linux x86_64)
TENSORFLOW ?= tensorflow-cpu
else
TENSORFLOW ?= tensorflow
endif
JAX ?= jax
TORCH ?= torch==2.13.0

# How long the demo searches. More trials and epochs find better models.
TRIALS ?= 12
EPOCHS ?= 40

RUN := $(VENV)/bin/python
QUIET := -qq --disable-pip-version-check --no-input
PIP = $(RUN) -m pip install $(QUIET)
PYTEST = $(RUN) -m pytest -q
# `make fuzz`: seconds on each backend, the most cases, and the seed of the first case.
SECONDS ?= 60
CASES ?=
SEED ?=
# Tests run in parallel: most of their time goes into compiling, which takes one core.
WORKERS ?= auto
IN_PARALLEL = -n $(WORKERS) --dist loadgroup

# Without TensorFlow's messages at its start, which would hide what the targets print.
export TF_CPP_MIN_LOG_LEVEL ?= 3

# Targets share one environment, so they run one after the other, with -j too.
.NOTPARALLEL:
.PHONY: help demo check test test-all test-keras test-versions test-gpu test-install
.PHONY: test-raw fuzz bench docs docs-links lint format build clean

help:
	@echo "make demo           tune recurrent layers on handwritten digits, into demo/"
	@echo "make check          lint, and the tests for what changed since $(SINCE)"
	@echo "make test           the tests, once on each backend ($(BACKENDS))"
	@echo "make test-all       the same with every cell and every case: hours"
	@echo "make test-keras     Keras' own recurrent tests, with our layers in place"
	@echo "make test-versions  the tests on other versions ($(VERSIONS))"
	@echo "make test-gpu       the tests that need a GPU, with PYTHON=$(PYTHON)"
	@echo "make test-raw       the data sets, on the published files in RAW=folder"
	@echo "make test-install   README's commands, in new environments; needs the network"
	@echo "make fuzz           random layers on every engine, for SECONDS=$(SECONDS)"
	@echo "make bench          times our layers and Keras' on each backend"
	@echo "make docs           the documentation site, into docs/_build/html"
	@echo "make lint           ruff format --check, ruff check and mypy"
	@echo "make format         ruff check --fix and ruff format"
	@echo "make build          the sdist and the wheel, into dist/"
	@echo "make clean          removes the environments and everything that was built"
	@echo
	@echo "KERAS_BACKEND=jax runs one backend. ARGS=... is passed on to pytest."

# --- environments: a stamp says that the packages of a target are installed ---

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "keras_rnnx needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "== making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo.stamp: setup.cfg pyproject.toml | $(VENV)/venv.stamp
	@echo "== installing what the demo needs"
	@$(PIP) $(TENSORFLOW) --editable '.[tuner,datasets,report]'
	@touch $@

$(VENV)/test.stamp: setup.cfg pyproject.toml | $(VENV)/venv.stamp
	@echo "== installing the backends and what the tests need"
	@$(PIP) $(TENSORFLOW) $(JAX) $(TORCH) --editable '.[test]'
	@touch $@

$(VENV)/lint.stamp: setup.cfg pyproject.toml | $(VENV)/venv.stamp
	@$(PIP) --editable '.[lint]'
	@touch $@

# --- commands ---

demo: $(VENV)/demo.stamp
	@KERAS_BACKEND=tensorflow $(VENV)/bin/keras-rnnx tune digits --cells lstm,gru,leaky_rnn \
	    --trials $(TRIALS) --max-epochs $(EPOCHS) --workers 2 --dir demo --report

# Takes less than two minutes. On torch, which compiles nothing, the tests that a change
# concerns, the nearest first, for a minute. On TensorFlow four tests of the basics.
SINCE ?= $(firstword $(shell git for-each-ref --format='%(refname:short)' \
    refs/remotes/origin/main refs/heads/main))
SMOKE := $(foreach test,equals_its_oracle[lstm] equals_its_oracle[min_gru] \
    gradient_equals_finite_differences_of_the_oracle[gru],tests/test_cells.py::test_$(test)) \
    tests/test_backends.py::test_a_compiled_step_equals_an_eager_call

check: lint $(VENV)/test.stamp
	@echo "== tests of what has changed since $(SINCE), on torch"
	@KERAS_BACKEND=torch $(PYTEST) -rs $(IN_PARALLEL) --changed $(SINCE) --seconds 60 \
	    $(ARGS); status=$$?; \
	echo "== a few tests on tensorflow"; \
	KERAS_BACKEND=tensorflow $(PYTEST) $(SMOKE:%='%') || exit 1; \
	test $$status = 0 -o $$status = 5 # 5: the change concerns no test

# All backends run, also after a failure. Any failure fails the target.
test: $(VENV)/test.stamp
	@status=0; for backend in $(BACKENDS); do \
	    echo "== tests on $$backend"; \
	    KERAS_BACKEND=$$backend $(PYTEST) $(IN_PARALLEL) $(ARGS) || status=1; \
	done; exit $$status

test-all:
	@$(MAKE) --no-print-directory test BACKENDS="$(BACKENDS)" ARGS="--everything $(ARGS)"

# Makes no environment: PYTHON must have builds of the backends for the GPU.
test-gpu:
	@status=0; for backend in $(BACKENDS); do \
	    echo "== GPU tests on $$backend"; \
	    KERAS_BACKEND=$$backend $(PYTHON) -m pytest -q -m gpu $(ARGS) || status=1; \
	done; exit $$status

# RAW has a folder for each data set, or all files: see tests/test_builders_raw.py.
test-raw: $(VENV)/test.stamp
	@test -d "$(RAW)" || { echo "make test-raw RAW=folder, with the raw files"; exit 2; }
	@status=0; for backend in $(BACKENDS); do \
	    echo "== raw files on $$backend"; \
	    KERAS_RNNX_RAW="$(abspath $(RAW))" KERAS_BACKEND=$$backend \
	        $(PYTEST) -m raw_data \
	        tests/test_builders_raw.py tests/test_task_facts.py $(ARGS) || status=1; \
	done; exit $$status

# Runs once, not on each backend: it makes environments with backends of their own.
test-install: $(VENV)/test.stamp
	@KERAS_BACKEND=torch $(PYTEST) -m install $(ARGS)

# Keras' wheel contains its tests. They run on Keras' layers first, once for an
# environment, and then on ours.
KERAS_TESTS := lstm gru simple_rnn rnn bidirectional stacked_rnn_cells
KERAS_SUITE = PYTHONPATH=tests $(PYTEST) -rx --disable-warnings -p no:cacheprovider \
    -c pyproject.toml -p keras_suite.plugin --outcomes $(VENV)/keras-$*.json \
    --pyargs $(KERAS_TESTS:%=keras.src.layers.rnn.%_test)

.PRECIOUS: $(VENV)/keras-%.json

test-keras: $(BACKENDS:%=test-keras-%)

$(VENV)/keras-%.json: $(VENV)/test.stamp
	@echo "== Keras' tests on $*, Keras' layers"
	@KERAS_BACKEND=$* $(KERAS_SUITE) --layers-from keras

test-keras-%: $(VENV)/keras-%.json
	@echo "== Keras' tests on $*, layers of keras_rnnx"
	@KERAS_BACKEND=$* $(KERAS_SUITE) --layers-from keras_rnnx

# --- the tests on other versions, each in its own environment .venv-VERSION ---

VERSIONS ?= nightly oldest python3.12 python3.13
KERAS_nightly := keras-nightly
# The oldest version that setup.cfg allows.
KERAS_oldest := keras==$(shell sed -n 's/^ *keras>=//p' setup.cfg | head -n 1)
PYTHON_python3.12 ?= python3.12
PYTHON_python3.13 ?= python3.13
# Not torch: its build on PyPI for Linux contains CUDA.
BACKENDS_python3.12 ?= tensorflow jax
BACKENDS_python3.13 ?= tensorflow jax
# BACKENDS_there are installed. BACKENDS_run are run, unless KERAS_BACKEND names one.
BACKENDS_there = $(or $(BACKENDS_$*),tensorflow jax torch)
BACKENDS_run = $(if $(findstring command,$(origin KERAS_BACKEND)),,$(BACKENDS_$*))
BUILD_tensorflow = $(TENSORFLOW)
BUILD_jax = $(JAX)
BUILD_torch = $(TORCH)

.PRECIOUS: .venv-%/venv.stamp .venv-%/test.stamp

# All versions run, also after a failure.
test-versions:
	@$(MAKE) --no-print-directory --keep-going $(VERSIONS:%=test-versions-%)

.venv-%/venv.stamp:
	@echo "== making .venv-$*"
	@$(or $(PYTHON_$*),$(PYTHON)) -m venv --clear .venv-$*
	@touch $@

.venv-%/test.stamp: setup.cfg pyproject.toml | .venv-%/venv.stamp
	@echo "== installing into .venv-$*: $(or $(KERAS_$*),keras), $(BACKENDS_there)"
	@.venv-$*/bin/python -m pip install $(QUIET) --editable '.[test]' \
	    $(foreach backend,$(BACKENDS_there),$(BUILD_$(backend)))
	@if [ -n "$(KERAS_$*)" ]; then \
	    .venv-$*/bin/python -m pip uninstall -qq --yes keras keras-nightly && \
	    .venv-$*/bin/python -m pip install $(QUIET) $(KERAS_$*); \
	fi
	@touch $@

test-versions-%: .venv-%/test.stamp
	@status=0; for backend in $(or $(BACKENDS_run),$(BACKENDS)); do \
	    echo "== tests on $$backend, in .venv-$*"; \
	    .venv-$*/bin/python -m pip freeze | grep -E '^(keras|tensorflow|jax|torch|numpy)'; \
	    .venv-$*/bin/python --version; \
	    KERAS_BACKEND=$$backend .venv-$*/bin/python -m pytest -q $(IN_PARALLEL) $(ARGS) \
	        || status=1; \
	done; exit $$status

# SEED=17 CASES=1 draws one case again. Any difference between engines fails.
fuzz: $(VENV)/test.stamp
	@status=0; for backend in $(BACKENDS); do \
	    KERAS_BACKEND=$$backend PYTHONPATH=tests $(RUN) -m fuzz --seconds $(SECONDS) \
	        $(CASES:%=--cases %) $(SEED:%=--seed %) $(ARGS) || status=1; \
	done; exit $$status

bench: $(VENV)/test.stamp
	@for backend in $(BACKENDS); do \
	    echo "== benchmarks on $$backend"; \
	    KERAS_BACKEND=$$backend $(RUN) -m benchmarks.run $(ARGS) || exit 1; \
	done

lint: $(VENV)/lint.stamp
	@$(RUN) -m ruff format --check . && $(RUN) -m ruff check . && $(RUN) -m mypy

# Tutorials run once, and again when their text changes: NOTEBOOKS=off shows them as they
# are written. A warning is an error.
NOTEBOOKS ?= cache
SPHINX = KERAS_BACKEND=tensorflow $(RUN) -m sphinx -W --keep-going -q \
    -D nb_execution_mode=$(NOTEBOOKS) docs

$(VENV)/docs.stamp: setup.cfg pyproject.toml | $(VENV)/venv.stamp
	@echo "== installing what the documentation needs"
	@$(PIP) $(TENSORFLOW) --editable '.[docs]'
	@touch $@

docs: $(VENV)/docs.stamp
	@$(SPHINX) docs/_build/html && echo "the site is in docs/_build/html/index.html"

# With the network: every link that leaves the site.
docs-links: $(VENV)/docs.stamp
	@$(SPHINX) -b linkcheck docs/_build/links

format: $(VENV)/lint.stamp
	@$(RUN) -m ruff check --fix . ; $(RUN) -m ruff format .

build: $(VENV)/test.stamp
	@$(RUN) -m build

clean:
	rm -rf $(VENV) .venv-* build dist demo docs/_build docs/api/generated *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
