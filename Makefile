# `make demo` and `make test` do everything on a fresh machine with Python 3.11 and make.

PYTHON ?= python3.11
comma := ,
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PORT ?= 7860
SERVE ?= 1
LOCAL ?= 1

# Processes that run the tests: they wait as much as they compute, so three keep two cores busy. 2 GB of memory each.
WORKERS ?= 3

# LOCAL=0 leaves torch, transformers, trl and diffusers out; the tests of local models then skip and say so.
EXTRAS := leaderboard,leakage,inspect,ray,train,test$(if $(filter 1,$(LOCAL)),$(comma)local$(comma)construct$(comma)align)

# Three workers and some hundred commands import the same modules: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test check bench clean

install: $(VENV)/.installed

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11 or later" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[leaderboard]'
	@touch $@

# pip compiles on one core, what nobody imports too.
$(VENV)/.installed-test-$(LOCAL): $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --no-compile --editable '.[$(EXTRAS)]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true  # a template that is not Python may lie there
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	@SERVE=$(SERVE) PORT=$(PORT) PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/demo.sh

# The browser comes while pip installs.
test:
	@sh scripts/install_chromium.sh & chromium=$$!; \
	$(MAKE) --no-print-directory $(VENV)/.installed-test-$(LOCAL) && wait $$chromium && \
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

check: $(VENV)/.installed-test-$(LOCAL)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test-$(LOCAL)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
