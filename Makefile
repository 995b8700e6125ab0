# Two commands a fresh machine needs: `make demo` and `make test`. Each makes the virtual environment it uses.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES = pyproject.toml setup.py constraints.txt $(wildcard csrc/*.hpp csrc/python/*.hpp csrc/*.cpp)

.PHONY: demo test lint cpp-test wheel-test python-test callbacks-test docs browser-test slurm-test cuda-test latex faults fuzz sanitize reliability clean

demo: $(VENV)/.installed  ## train a diffusion model on real digits and evaluate it: about two minutes
	$(BIN)/pyml-train --model mlp --threads 1
	$(BIN)/pyml-eval latest --threads 1

test: lint cpp-test wheel-test python-test  ## everything that continuous integration checks

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest core._meter

cpp-test:
	sh csrc/tests/run.sh

wheel-test: $(VENV)/.installed-for-tests
	$(BIN)/python tests/packaging/check_wheel.py

python-test: $(VENV)/.installed-for-tests
	PYML_REQUIRE_EXTENSION=1 $(BIN)/python -m pytest -n 2

callbacks-test: $(VENV)/.installed-extra-callbacks  ## the examples with Lightning and with Hugging Face's Trainer
	$(BIN)/python -m pytest tests/examples/test_callbacks.py

docs: $(VENV)/.installed-extra-docs  ## the manual and the API reference, as a site in build/site; broken links are errors
	$(BIN)/python -m mkdocs build --quiet
	@echo "Open build/site/index.html"

browser-test: $(VENV)/.installed-for-tests  ## the HTML report in headless Chromium (Debian: apt-get install chromium)
	PYML_REQUIRE_CHROMIUM=1 $(BIN)/python -m pytest tests/results/report/test_report_in_browser.py

slurm-test: $(VENV)/.installed-for-tests  ## sweeps on a real Slurm, as root (Debian: apt-get install slurmctld slurmd slurm-client munge)
	PYML_REQUIRE_SLURM=1 $(BIN)/python -m pytest tests/sweeps/test_slurm_cluster.py

cuda-test: $(VENV)/.installed-for-tests  ## meters, training and evaluation on a CUDA device
	PYML_REQUIRE_CUDA=1 $(BIN)/python -m pytest tests/cuda

latex: $(VENV)/.installed-for-tests  ## compile LaTeX tables (Debian: apt-get install texlive-latex-recommended texlive-science)
	PYML_REQUIRE_TEX=1 $(BIN)/python -m pytest tests/results/tables/test_latex.py

faults: $(VENV)/.installed-for-tests  ## kill the process, or fail its disk, at every file-system call: about an hour
	PYML_FAULTS=all $(BIN)/python -m pytest -n 2 tests/faults

fuzz: $(VENV)/.installed-for-tests  ## change the files of each reader a million times: an hour; CASES=10000 for a minute
	$(BIN)/python tests/fuzz/run.py --cases $(or $(CASES),1000000)

sanitize: $(VENV)/.installed-for-tests  ## the extension under ASan, UBSan and TSan, through Python
	sh tests/extension/sanitize.sh $(BIN)/python $(or $(CYCLES),2000)

reliability: $(VENV)/.installed-for-tests  ## the figures of docs/reliability.md: two hours; MINUTES=5 bounds each part; PARTS=fuzz makes one
	$(BIN)/python benchmarks/reliability.py --minutes $(or $(MINUTES),120) $(PARTS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	@echo "Installing pinned dependencies and building the extension: a minute or more, torch is large."
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/bin/python $(SOURCES)
	@echo "Installing pinned dependencies and building the extension: a minute or more, torch is large."
	PYML_REQUIRE_EXTENSION=1 $(PIP) --editable '.[test]'
	touch $@ $(VENV)/.installed

# Only what an extra names: installing .[extra] would build the extension once more.
$(VENV)/.installed-extra-%: $(VENV)/.installed-for-tests
	$(PIP) $$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$*'])")
	touch $@

clean:  ## remove the environment and everything built; runs stay
	rm -rf $(VENV) build dist *.egg-info core/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
