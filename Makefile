# PoTViT: `make help` lists the targets and the variables they take. Every target sets up .venv
# itself, from the pins in requirements.lock, and sets it up again only when they change.

# The variables: the option that each becomes, and what it says. One that is not given becomes no
# option, so defaults are the commands' own.
option-MODEL   := --model##   network: a short name, timm:NAME or a checkpoint (deit_tiny)
option-CONFIG  := --config##  accelerator: tiny, edge, base or a TOML file (base)
option-SET     := --set##     changes of its parameters, "rows=4 cols=8"
option-BITS    := --bits##    weights and inputs: w8a8, w4a8, w4a4 or a file (w8a8)
option-ATTN    := --attn##    attention codes: log2 or half (log2)
option-DATA    := --data##    pictures: a folder, or digits
option-WEIGHTS := --weights## weights file, of any common kind
option-CLASSES := --classes## text file with one class name a line
option-IMG_SIZE := --img-size## side of the picture (the weights file's)
option-CROP_PCT := --crop-pct## share kept by the centre crop (the model's)
option-FEATURES := --features## no classifier: all or class
option-MODEL_KWARGS := --model-kwargs## more arguments for timm, "depth=6"
option-OUT     := --out##     where the result goes, a file or a folder as the default is
option-SEED    := --seed##    whatever the target draws at random (0)
option-TENSORS := --tensors## pictures whose tensors are exported too (0)
option-IMAGES  := --images##  pictures to simulate (1)
option-N       := --number##  how many: programs to fuzz (2000)
option-SERIAL  := --serial##  1: one instruction at a time as well, compared
option-STALLS  := --stalls##  pauses of the DRAM: none or random (none)
option-WAVES   := --waves##   an FST of the ports (1) or of everything (all)
option-SIMULATOR := --simulator## verilator, or icarus: four states, much slower (verilator)
option-IMAGE   :=##           picture file
option-CONFIRM := --confirm## points of the Pareto front to run in RTL (1)
option-BUDGET  := --budget##  most cycles of a picture that `search` may take
option-AGAINST := --against## another checkout, whose simulator takes turns with this one
option-MHZ     := --mhz##     clock that speeds are given at (300)
option-TARGET  := --target##  synth: generic, xcup, ecp5 or asic (generic); search: least agreement, %
option-UNIT    := --unit##    only this unit
option-LIBERTY := --liberty## cell library of your own, for TARGET=generic; file or folder, for asic
option-MACROS  := --macros##  folder with Liberty files of SRAM macros, for TARGET=asic
option-WORKERS := --jobs##    processes at a time (2)
option-EPOCHS  := --epochs##  passes over the training pictures (train: 10, train-digits: 300)
option-LR      := --lr##      learning rate (0.005)
option-RESUME  := --resume##  1: go on from the run's checkpoint
option-DETAILS := --verbose## 1: what was compared, cycles and stalls as well
option-TESTS   :=##           file or folder of tests to run (all)
option-PYTHON  :=##           interpreter to set up with (the first of at least 3.11)

# Which target takes which. A variable that no goal takes is refused: it would be ignored.
takes-test         := WORKERS TESTS
takes-test-all     := WORKERS TESTS
takes-coverage     := WORKERS TESTS
takes-eval         := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS DATA BITS ATTN SEED OUT
takes-bench        := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS DATA BITS ATTN SEED OUT
takes-export       := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS DATA BITS ATTN SEED TENSORS OUT
takes-verilog      := CONFIG SET OUT
takes-sim          := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS CONFIG SET BITS ATTN DATA IMAGES SERIAL STALLS SEED WAVES SIMULATOR OUT
takes-bench-sim    := MODEL CONFIG AGAINST OUT
takes-package      := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS CONFIG SET BITS ATTN DATA OUT
takes-report       := MODEL CONFIG SET BITS ATTN MHZ OUT
takes-explore      := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS CONFIG SET BITS ATTN DATA CONFIRM WORKERS OUT
takes-search       := MODEL CONFIG SET ATTN DATA WEIGHTS SEED BUDGET TARGET WORKERS
takes-classify     := IMAGE MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS CONFIG SET BITS ATTN DATA DETAILS
takes-synth        := CONFIG SET TARGET UNIT LIBERTY MACROS WORKERS OUT
takes-formal       := UNIT OUT
takes-fuzz         := CONFIG SET N SEED WORKERS OUT
takes-train        := MODEL WEIGHTS CLASSES IMG_SIZE CROP_PCT FEATURES MODEL_KWARGS DATA BITS ATTN SEED EPOCHS LR RESUME OUT
takes-train-digits := MODEL SEED EPOCHS OUT

VARIABLES := $(patsubst option-%,%,$(filter option-%,$(.VARIABLES)))
GOALS     := $(or $(MAKECMDGOALS),help)

# Below another makefile, whose own variables come along, only ours are looked at.
given    := $(foreach v,$(if $(filter-out 0,$(MAKELEVEL)),$(VARIABLES),$(.VARIABLES)),$(if \
	$(findstring command line,$(origin $v)),$v))
taken    := PYTHON $(foreach goal,$(GOALS),$(takes-$(goal)))
refused  := $(filter-out $(taken),$(given))
ifneq ($(refused),)
$(error make $(GOALS) takes no $(refused); it takes $(sort $(taken)))
endif
$(foreach v,$(filter-out PYTHON,$(filter $(VARIABLES),$(taken))),$(if \
	$(filter environment,$(origin $v)),$(warning $v=$(value $v) comes from the environment)))

ifneq ($(filter classify,$(GOALS)),)
ifeq ($(value IMAGE),)
$(error name a picture: make classify IMAGE=photo.jpg)
endif
endif

# Variables that say yes (1) or no (0); their options have no value.
FLAGS := DETAILS RESUME SERIAL
$(foreach v,$(filter $(FLAGS),$(taken)),$(if $(filter-out 0 1,$(value $v)),$(error \
	$v is 1 or 0, not $(value $v))))

# The text of variable $1 as one word for the shell, whatever it holds.
quoted = '$(subst ','\'',$(value $1))'
# The same, or nothing if it is not given.
given-word = $(if $(value $1),$(call quoted,$1))
# The options of the variables $1, those that are given.
options = $(foreach v,$(filter-out $(FLAGS),$1),$(if $(value $v),$(option-$v)=$(call quoted,$v))) \
	$(foreach v,$(filter $(FLAGS),$1),$(if $(filter 1,$(value $v)),$(option-$v)))

# The first Python of at least 3.11; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -E -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
	done)

VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.pins-installed

# Hash order must not reach generated Verilog or bundles.
export PYTHONHASHSEED := 0
export PYTHONUNBUFFERED := 1
# What the caller's shell or another make has set for other programs stays out of ours.
unexport $(VARIABLES) $(filter PYTHON% PYTEST_% MYPY% RUFF_%,$(filter-out \
	PYTHONHASHSEED PYTHONUNBUFFERED,$(.VARIABLES))) MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

.DEFAULT_GOAL := help
.PHONY: help setup doctor lint format test test-all coverage eval bench export verilog package \
	sim bench-sim report explore search classify synth formal fuzz train train-digits record readme clean

help: ## list the targets and their variables
	@awk ' \
		/^takes-/ { name = $$1; sub("takes-", "", name); sub(/^[^=]*= /, ""); takes[name] = $$0 } \
		/^option-/ { name = $$1; sub("option-", "", name); sub(/^[^#]*## */, ""); \
			text[++count] = sprintf("  %-9s %s", name, $$0) } \
		/^[a-z-]+:.*## / { name = $$1; sub(":", "", name); sub(/.*## /, ""); \
			printf "  make %-13s %s\n", name, $$0; \
			if (name in takes) printf "  %18s %s\n", "", takes[name] } \
		END { print "\nvariables (default):"; for (i = 1; i <= count; i++) print text[i] }' \
		$(firstword $(MAKEFILE_LIST))

$(READY): pyproject.toml requirements.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is missing (Debian package: python3)" >&2; exit 2; fi
	@"$(PYTHON)" tools/setup_venv.py $(VENV) $(READY)

setup: $(READY) ## install the pinned packages into .venv

doctor: ## what this machine has, what is missing, and the package that has it
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is missing (Debian package: python3)" >&2; exit 2; fi
	@if [ -x $(PY) ]; then $(PY) -m golden doctor; else "$(PYTHON)" -m golden doctor; fi

# A file at a time for each worker, in the order of tests/conftest.py.
PYTEST = $(PY) -m pytest -n $(or $(call given-word,WORKERS),2) --dist loadfile \
	--no-loadscope-reorder $(call given-word,TESTS)

lint: $(READY) ## ruff (rules and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY) ## rewrite the sources in the project's format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test: lint ## lint, then the regressions (minutes)
	$(PYTEST)

test-all: lint ## every test, slow ones included
	$(PYTEST) -m ""

coverage: $(READY) ## lines and branches of the Python that `make test` runs, in build/coverage
	@mkdir -p build/coverage
	$(PYTEST) --cov --cov-report=; status=$$?; \
		$(PY) -m coverage html -q && $(PY) -m coverage json -q && $(PY) -m coverage report; \
		exit $$status

# Both take the model and the data by position.
eval: $(READY) ## accuracy of the integer network beside the float one
	$(PY) -m golden eval $(or $(call given-word,MODEL),deit_tiny) $(call given-word,DATA) \
		$(call options,$(filter-out MODEL DATA,$(takes-$@)))

bench: $(READY) ## speed of the integer executor beside the float network, alternating runs
	$(PY) -m golden bench $(or $(call given-word,MODEL),deit_tiny) $(call given-word,DATA) \
		$(call options,$(filter-out MODEL DATA,$(takes-$@)))

export: $(READY) ## the integer network as a bundle
	$(PY) -m golden export $(or $(call given-word,MODEL),deit_tiny) $(call given-word,DATA) \
		$(call options,$(filter-out MODEL DATA,$(takes-$@)))

verilog: $(READY) ## the accelerator's Verilog, in build/verilog/<config>
	$(PY) -m hw verilog $(call options,$(takes-$@))

package: $(READY) ## a folder for a hardware project: RTL, FuseSoC, IP-XACT, registers, driver
	$(PY) -m potvit package $(call options,$(takes-$@))

sim: $(READY) ## a whole network in RTL, every tensor compared
	$(PY) -m sim run $(call options,$(takes-$@))

bench-sim: $(READY) ## how fast a network simulates, alternating with another checkout: AGAINST=FOLDER
	$(PY) -m sim bench $(call options,$(takes-$@))

report: $(READY) ## a page on what build/ has
	$(PY) -m sim report $(call options,$(takes-$@))

explore: $(READY) ## configurations for a model by cycles and area
	$(PY) -m sim explore $(call options,$(takes-$@))

search: $(READY) ## which layers get 4-bit weights: make search BUDGET=900000
	$(PY) -m sim search $(call options,$(takes-$@))

classify: $(READY) ## a picture through the RTL: make classify IMAGE=photo.jpg
	$(PY) -m sim classify $(call options,$(filter-out IMAGE,$(takes-$@))) -- $(call quoted,IMAGE)

synth: $(READY) ## area or timing by open tools
	$(PY) -m synth run $(call options,$(takes-$@))

formal: $(READY) ## prove properties of the hardware, with mutants that the proofs reject
	$(PY) -m formal prove $(call options,$(takes-$@))

fuzz: $(READY) ## corrupt programs in RTL: no hang, nothing outside the window, exact restarts
	$(PY) -m sim fuzz $(call options,$(takes-$@))

train: $(READY) ## fine-tune a network by its integer forward: make train MODEL=vit_digits BITS=w4a4
	$(PY) -m golden train $(or $(call given-word,MODEL),deit_tiny) $(call given-word,DATA) \
		$(call options,$(filter-out MODEL DATA,$(takes-$@)))

train-digits: $(READY) ## train vit_digits (or MODEL=swin_digits) again (minutes; same bits on the same machine)
	$(PY) -m golden train-digits $(call options,$(takes-$@))

record: $(READY) ## keep the figures of build/ that the README shows in docs/data
	$(PY) -m tools.record_results

readme: $(READY) ## rewrite the tables of README.md from their sources
	$(PY) -m tools.readme_tables

clean: ## remove build results (the virtual environment stays)
	rm -rf build .pytest_cache .ruff_cache .mypy_cache
