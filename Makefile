# PoTViT: `make help` lists the targets. Every target sets up .venv itself, from the pins in
# pyproject.toml, and sets it up again only when they change.

MODEL  ?= deit_tiny
CONFIG ?= base
BITS   ?= w8a8
ATTN   ?= log2
IMAGES ?= 1
STALLS ?= none
SEED   ?= 0
WAVES  ?=
DATA   ?=
WEIGHTS ?=
IMAGE  ?=
OUT    ?=
WORKERS ?= 2
MHZ    ?=
CONFIRM ?=
TARGET ?= generic
UNIT   ?=
LIBERTY ?=

# The first Python of at least 3.11; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
	done)

VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.pins-installed

# Hash order must not reach generated Verilog or bundles.
export PYTHONHASHSEED := 0
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup doctor lint format test test-all eval export verilog sim report explore classify synth train-digits record readme \
	clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is missing (Debian package: python3)" >&2; exit 2; fi
	@"$(PYTHON)" tools/setup_venv.py $(VENV) $(READY)

setup: $(READY) ## install the pinned packages into .venv

doctor: ## what this machine has, what is missing, and the package that has it
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is missing (Debian package: python3)" >&2; exit 2; fi
	@if [ -x $(PY) ]; then $(PY) -m golden doctor; else "$(PYTHON)" -m golden doctor; fi

lint: $(READY) ## ruff (rules and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY) ## rewrite the sources in the project's format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test: lint ## lint, then the regressions (minutes)
	$(PY) -m pytest -n $(WORKERS) --dist loadfile

test-all: lint ## every test, slow ones included
	$(PY) -m pytest -n $(WORKERS) --dist loadfile -m ""

eval: $(READY) ## accuracy: MODEL= DATA= BITS=w8a8|w4a8|FILE ATTN=log2|half WEIGHTS=file
	$(PY) -m golden eval $(MODEL) $(if $(DATA),"$(DATA)") --quant --ptf --lis \
		--bits "$(BITS)" --attn $(ATTN) $(if $(WEIGHTS),--weights "$(WEIGHTS)")

export: $(READY) ## integer bundle: MODEL= DATA= BITS= ATTN= WEIGHTS= OUT=folder TENSORS=n
	$(PY) -m golden export $(MODEL) $(if $(DATA),"$(DATA)") --bits "$(BITS)" --attn $(ATTN) \
		$(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(OUT),--out "$(OUT)") \
		$(if $(TENSORS),--tensors "$(TENSORS)")

verilog: $(READY) ## build/verilog/<config>: CONFIG=tiny|edge|base
	$(PY) -m hw verilog --config $(CONFIG)

sim: $(READY) ## whole network in RTL: MODEL= CONFIG= BITS= ATTN= IMAGES= STALLS= SEED= WAVES=1|all
	$(PY) -m sim run --model $(MODEL) --config $(CONFIG) --bits "$(BITS)" --attn $(ATTN) \
		--images "$(IMAGES)" --stalls "$(STALLS)" --seed "$(SEED)" \
		$(if $(WAVES),--waves "$(patsubst 1,ports,$(WAVES))")

report: $(READY) ## a page on what build/ has: MODEL= CONFIG= BITS= ATTN= MHZ=300
	$(PY) -m sim report --model $(MODEL) --config $(CONFIG) --bits "$(BITS)" --attn $(ATTN) \
		$(if $(MHZ),--mhz $(MHZ))

explore: $(READY) ## configurations by cycles and area: MODEL= BITS= CONFIRM=1 (points in RTL)
	$(PY) -m sim explore --model $(MODEL) --bits "$(BITS)" --attn $(ATTN) --jobs $(WORKERS) \
		$(if $(CONFIRM),--confirm $(CONFIRM))

classify: $(READY) ## a picture through the RTL: IMAGE=photo.jpg MODEL= CONFIG=
	@if [ -z "$(IMAGE)" ]; then echo "error: name a picture: make classify IMAGE=photo.jpg" >&2; exit 2; fi
	$(PY) -m sim classify "$(IMAGE)" --model $(MODEL) --config $(CONFIG)

synth: $(READY) ## area or timing: CONFIG= TARGET=generic|xcup|ecp5 UNIT= LIBERTY=file.lib
	$(PY) -m synth run --config $(CONFIG) --target $(TARGET) $(if $(UNIT),--unit $(UNIT)) \
		$(if $(LIBERTY),--liberty "$(LIBERTY)") --jobs $(WORKERS)

train-digits: $(READY) ## train vit_digits again (minutes; same bits on the same machine)
	$(PY) -m golden train-digits $(if $(OUT),--out "$(OUT)")

record: $(READY) ## keep the figures of build/ that the README shows in docs/data
	$(PY) -m tools.record_results

readme: $(READY) ## rewrite the tables of README.md from their sources
	$(PY) -m tools.readme_tables

clean: ## remove build results (the virtual environment stays)
	rm -rf build .pytest_cache .ruff_cache .mypy_cache
