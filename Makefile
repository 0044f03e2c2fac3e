# The commands for users and contributors. `make` without a target lists the targets.
# Works with GNU make 3.81 (macOS) and newer; writes only to $(VENV) and this folder.

PYTHON ?= python3
VENV ?= .venv
# Arguments that are passed on: make test ARGS="-k registry"; make demo ARGS="--cfg-options optimizer.lr=0.02"
ARGS ?=
# The package index to install PyTorch from, such as one with CPU-only builds; if empty, PyPI
TORCH_INDEX ?=

BIN = $(VENV)/bin
PIP = "$(BIN)/python" -m pip install --disable-pip-version-check --progress-bar off -qq -c constraints.txt

.NOTPARALLEL: # two simultaneous installs into one environment would conflict
.PHONY: help demo test slow gpu check fmt fmt-check lint types package opencv-swap cov bench bench-image bench-peers faults fuzz docs clean

help: ## Show this list
	@echo "Usage: make TARGET. Targets:"
	@echo
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "ARGS=... passes arguments to demo, test, slow, gpu (its tests), cov, bench-image, bench-peers, faults, fuzz."
	@echo "$(VENV) is created when it is needed."
	@echo "PYTHON=python3.12 selects the Python version, TORCH_INDEX=URL the package index for PyTorch."

demo: $(VENV)/.installed ## Train LeNet-5 on the included handwritten digits
	"$(BIN)/cfgtrain" train configs/digits/lenet5.py $(ARGS)

test: $(VENV)/.installed-dev ## Run the tests
	"$(BIN)/pytest" $(ARGS)

slow: $(VENV)/.installed-dev ## Run the tests that take more than ten seconds each, and are not part of `test`
	"$(BIN)/pytest" -m slow $(ARGS)

gpu: $(VENV)/.installed-dev ## Run the tests that need a CUDA device, and compare the images per second with a loop
	"$(BIN)/pytest" -m gpu $(ARGS)
	"$(BIN)/python" benchmarks/gpu.py

check: fmt-check lint types test ## Run all checks that must pass before a commit: format, lint, types, tests

fmt: $(VENV)/.installed-dev ## Format the code and apply the automatic fixes of the linter
	"$(BIN)/ruff" format
	"$(BIN)/ruff" check --fix

fmt-check: $(VENV)/.installed-dev ## Check the format without changing files
	"$(BIN)/ruff" format --check

lint: $(VENV)/.installed-dev ## Run the linter
	"$(BIN)/ruff" check

types: $(VENV)/.installed-dev ## Run the type checker
	"$(BIN)/mypy"

package: $(VENV)/.installed-dev ## Build the wheel and the source distribution, and check their contents
	"$(BIN)/python" scripts/check_package.py

opencv-swap: $(VENV)/.installed-dev ## Run the image tests with opencv-python, the OpenCV package with GUI windows
	"$(BIN)/python" scripts/check_opencv_swap.py

cov: $(VENV)/.installed-dev ## Run the tests and list the lines that they do not cover
	"$(BIN)/coverage" run -m pytest $(ARGS)
	"$(BIN)/coverage" report

bench: $(VENV)/.installed-dev ## Run the benchmarks in benchmarks/, except bench-peers and that of `gpu`
	@for file in $(filter-out $(addprefix benchmarks/,paired.py loop_peers.py gpu.py),$(wildcard benchmarks/*.py)); do \
		echo "$$file"; \
		"$(BIN)/python" "$$file" || exit 1; \
	done

bench-image: ## Compare the image functions with OpenCV and albumentations; ARGS="--only NAME"
	@$(MAKE) --no-print-directory VENV=.venv-image .venv-image/.installed-image
	NO_ALBUMENTATIONS_UPDATE=1 .venv-image/bin/python benchmarks/image.py $(ARGS)

bench-peers: ## Compare the training loop with those of other libraries; ARGS="--rounds N"
	@$(MAKE) --no-print-directory VENV=.venv-peers .venv-peers/.installed-peers
	.venv-peers/bin/python benchmarks/loop_peers.py $(ARGS)

faults: $(VENV)/.installed-dev ## Kill a training run 200 times and compare the result; ARGS="--kills N"
	"$(BIN)/python" scripts/faults.py $(ARGS)

fuzz: $(VENV)/.installed-dev ## Decode 100,000 damaged images; ARGS="--count N"
	"$(BIN)/python" scripts/fuzz_images.py $(ARGS)

ifneq ($(wildcard mkdocs.yml),)
docs: $(VENV)/.installed-docs ## Build the documentation into site/
	"$(BIN)/mkdocs" build --strict
else
docs:
	@echo "There is no mkdocs.yml, so there is no documentation to build."
endif

clean: ## Remove caches and build outputs; keeps the virtual environments and work_dirs
	rm -rf build dist site htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . \( -name '.venv*' -o -name .git -o -name work_dirs \) -prune -o \
		-type d -name __pycache__ -prune -exec rm -rf {} +

# Creates the environment if there is none. If Python is too old, prints a one-line error.
define environment
@python="$(BIN)/python"; test -x "$$python" || python="$(PYTHON)"; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	found=$$("$$python" --version 2>&1) || found="not found"; \
	echo "cfgtrain needs Python 3.11 or newer, but $$python is $$found. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1; }
@test -x "$(BIN)/python" || { \
	echo "Creating a virtual environment in $(VENV) ..."; \
	"$(PYTHON)" -m venv "$(VENV)"; }
$(if $(TORCH_INDEX),@echo "Installing PyTorch from $(TORCH_INDEX) ..." && \
	$(PIP) --index-url "$(TORCH_INDEX)" --no-deps torch)
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(environment)
	@echo "Installing cfgtrain and its dependencies; PyTorch is large, so this takes a minute or two ..."
	@$(PIP) -e .
	@touch "$@"
	@echo "Installed. This is repeated only when pyproject.toml or constraints.txt changes."

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(environment)
	@echo "Installing cfgtrain and its developer tools; PyTorch is large, so this takes a minute or two ..."
	@$(PIP) -e ".[dev]"
	@touch "$(VENV)/.installed" "$@"
	@echo "Installed. This is repeated only when pyproject.toml or constraints.txt changes."

$(VENV)/.installed-peers: $(VENV)/.installed benchmarks/requirements-peers.txt
	@echo "Installing the libraries for the comparison ..."
	@$(PIP) -r benchmarks/requirements-peers.txt
	@touch "$@"

$(VENV)/.installed-image: $(VENV)/.installed benchmarks/requirements-image.txt
	@echo "Installing the libraries for the comparison ..."
	@$(PIP) -r benchmarks/requirements-image.txt
	@touch "$@"

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing the documentation tools ..."
	@$(PIP) -e ".[docs]"
	@touch "$@"
