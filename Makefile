# Everything a newcomer or a contributor runs. `make` alone lists the targets.
# Works with GNU make 3.81 (macOS) and newer; writes to $(VENV) and this folder only.

PYTHON ?= python3
VENV ?= .venv
# Words to hand on: make test ARGS="-k registry"; make demo ARGS="--cfg-options optimizer.lr=0.02"
ARGS ?=
# A package index to take PyTorch from, such as one with builds for the CPU alone; empty: PyPI
TORCH_INDEX ?=

BIN = $(VENV)/bin
PIP = "$(BIN)/python" -m pip install --disable-pip-version-check --progress-bar off -qq -c constraints.txt

.NOTPARALLEL: # two installs into one environment would fight
.PHONY: help demo test check fmt fmt-check lint types package opencv-swap cov bench bench-peers faults docs clean

help: ## List the targets
	@echo "make TARGET, with these targets:"
	@echo
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "ARGS=... hands words on to demo, test, bench-peers and faults. The first target sets up $(VENV) by itself."
	@echo "PYTHON=python3.12 chooses the Python, TORCH_INDEX=URL the index that PyTorch comes from."

demo: $(VENV)/.installed ## Train LeNet-5 on the digits that come with cfgtrain
	"$(BIN)/cfgtrain" train configs/digits/lenet5.py $(ARGS)

test: $(VENV)/.installed-dev ## Run the tests
	"$(BIN)/pytest" $(ARGS)

check: fmt-check lint types test ## All that must pass before a commit: format, lint, types, tests

fmt: $(VENV)/.installed-dev ## Format the code and repair what the linter can
	"$(BIN)/ruff" format
	"$(BIN)/ruff" check --fix

fmt-check: $(VENV)/.installed-dev ## Check the format, changing nothing
	"$(BIN)/ruff" format --check

lint: $(VENV)/.installed-dev ## Check the code with the linter
	"$(BIN)/ruff" check

types: $(VENV)/.installed-dev ## Check the types
	"$(BIN)/mypy"

package: $(VENV)/.installed-dev ## Build the wheel and the sdist, and check what is in them
	"$(BIN)/python" scripts/check_package.py

opencv-swap: $(VENV)/.installed-dev ## Test the images with opencv-python, the OpenCV with windows
	"$(BIN)/python" scripts/check_opencv_swap.py

cov: $(VENV)/.installed-dev ## Run the tests and list the lines that they miss
	"$(BIN)/coverage" run -m pytest $(ARGS)
	"$(BIN)/coverage" report

bench: $(VENV)/.installed-dev ## Run the measurements in benchmarks/, but for that of bench-peers
	@for file in $(filter-out benchmarks/paired.py benchmarks/loop_peers.py,$(wildcard benchmarks/*.py)); do \
		if [ ! -e "$$file" ]; then echo "There are no measurements in benchmarks/ yet."; exit 0; fi; \
		echo "$$file"; \
		"$(BIN)/python" "$$file" || exit 1; \
	done

bench-peers: ## Measure the loops of other libraries beside ours; ARGS="--rounds N"
	@$(MAKE) --no-print-directory VENV=.venv-peers .venv-peers/.installed-peers
	.venv-peers/bin/python benchmarks/loop_peers.py $(ARGS)

faults: $(VENV)/.installed-dev ## Kill a training 200 times and compare its end; ARGS="--kills N"
	"$(BIN)/python" scripts/faults.py $(ARGS)

ifneq ($(wildcard mkdocs.yml),)
docs: $(VENV)/.installed-docs ## Build the documentation into site/
	"$(BIN)/mkdocs" build --strict
else
docs:
	@echo "There is no mkdocs.yml here, so there is no documentation to build."
endif

clean: ## Remove caches and what was built; keeps the virtual environment and work_dirs
	rm -rf build dist site htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . \( -name '.venv*' -o -name .git -o -name work_dirs \) -prune -o \
		-type d -name __pycache__ -prune -exec rm -rf {} +

# Makes the environment where there is none, and says so in one line when Python is too old.
define environment
@python="$(BIN)/python"; test -x "$$python" || python="$(PYTHON)"; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	found=$$("$$python" --version 2>&1) || found="not there"; \
	echo "cfgtrain needs Python 3.11 or newer, and $$python is $$found: try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1; }
@test -x "$(BIN)/python" || { \
	echo "Making a virtual environment in $(VENV) ..."; \
	"$(PYTHON)" -m venv "$(VENV)"; }
$(if $(TORCH_INDEX),@echo "Installing PyTorch from $(TORCH_INDEX) ..." && \
	$(PIP) --index-url "$(TORCH_INDEX)" --no-deps torch)
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(environment)
	@echo "Installing cfgtrain and what it needs; PyTorch is large, so this takes a minute or two ..."
	@$(PIP) -e .
	@touch "$@"
	@echo "Installed; this is done again only when pyproject.toml or constraints.txt changes."

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(environment)
	@echo "Installing cfgtrain and its developer tools; PyTorch is large, so this takes a minute or two ..."
	@$(PIP) -e ".[dev]"
	@touch "$(VENV)/.installed" "$@"
	@echo "Installed; this is done again only when pyproject.toml or constraints.txt changes."

$(VENV)/.installed-peers: $(VENV)/.installed benchmarks/requirements-peers.txt
	@echo "Installing the libraries to compare with ..."
	@$(PIP) -r benchmarks/requirements-peers.txt
	@touch "$@"

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing what builds the documentation ..."
	@$(PIP) -e ".[docs]"
	@touch "$@"
