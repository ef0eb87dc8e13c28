# make demo    train two models, compare the three levels, draw pictures
# make test    run the tests: the levels agree (three minutes)
# make thorough  run the longer tests, which the gate runs too
# make slow    run the longer tests
# make lowest  run the tests with the lowest versions that pyproject.toml names
# make soak    try faults: kills, full disks, damaged files
# make bench   measure speed and memory, beside other trainers and the processor's limit
# make lint    check style, types and generated text
# make readme  write the generated parts of README.md and docs/
# make mnist   download MNIST
# Needs Python >= 3.11, make and pip. For PyTorch without CUDA (ten times smaller):
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
# Three processes for two cores, because one often waits for a browser or a child. One thread makes training repeatable
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile

.PHONY: demo test lint mnist thorough slow lowest soak bench readme clean clean-runs

demo: .venv/installed
	$(BIN)/python demo.py

test: .venv/installed
	$(PYTEST)

thorough: .venv/installed
	$(PYTEST) -m 'thorough and not slow'

slow: .venv/installed
	$(PYTEST) -m slow

# Old versions warn of new versions beside them: here a warning is no error
lowest: .venv-lowest/installed
	$(PYTEST:$(BIN)/python=.venv-lowest/bin/python) -o filterwarnings=default

soak: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak

bench: .venv/bench
	$(BIN)/python -m benchmarks

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check README.md docs/*.md

mnist: .venv/installed
	$(BIN)/python -m vae_paper download mnist

readme: .venv/installed
	$(BIN)/cog -r README.md docs/*.md

# --without-pip and `pip --python` also work if ensurepip is missing or the system Python is externally managed
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --constraint constraints.txt --index-url $(TORCH_INDEX) torch torchvision)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# uv chooses the lowest versions of what pyproject.toml names, and the newest of all else
.venv-lowest/installed: pyproject.toml
	$(PYTHON) -m venv --without-pip .venv-lowest
	$(PYTHON) -m pip --python .venv-lowest/bin/python install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	touch $@

# The other trainers of the speed comparison
.venv/bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	touch $@

# What can be made again; the trainings in runs/ stay
clean:
	rm -rf .venv .venv-lowest build dist

clean-runs:
	rm -rf runs
