# Options are variables: make serve PORT=8123 DATA=some/folder
PYTHON ?= python3
BIN := .venv/bin
SETUP := $(PYTHON) scripts/setup.py $(if $(GPU),--gpu)
PARALLEL := $(BIN)/pytest -n auto --dist loadfile -p no:schemathesis
COMPILE := $(BIN)/uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--excludes requirements/excludes.txt --custom-compile-command "make pins"

.PHONY: help serve test test-all check audit pins

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)
	@printf '\nOptions of serve:\n'
	@printf '  PORT=8000     port to listen on\n'
	@printf '  DATA=data     folder of the database and the checkpoints\n'
	@printf '  MODEL=name    model folder or hub name instead of the embedded model\n'
	@printf '  GPU=1         install for an NVIDIA GPU (not tried in CI, which has none)\n'
	@printf 'Of every command: PYTHON=python3.11 chooses the interpreter (3.11 or 3.12).\n'

serve: ## set up what is missing and start the server
	@$(SETUP)
	@exec $(BIN)/spar serve $${PORT:+--port "$$PORT"} $${DATA:+--data "$$DATA"} \
		$${MODEL:+--model "$$MODEL"}

test: check ## check the code, run the quick tests and one real engine: some minutes
	HYPOTHESIS_PROFILE=quick $(PARALLEL) -m "not engine and not slow"
	$(BIN)/pytest tests/smoke

test-all: test ## the above, then the slow tests and all tests on real engines
	$(PARALLEL) -m "slow and not engine"
	$(BIN)/pytest -m engine --ignore tests/smoke

check: ## set up what is missing, check the code without running it
	@$(SETUP) --dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: ## look the pinned requirements up among the known vulnerabilities
	@$(SETUP)
	@$(BIN)/python scripts/audit.py requirements/cpu.txt

pins: ## rewrite the pinned requirements from pyproject.toml
	@$(SETUP)
	$(BIN)/python -m pip download -q --no-deps -d build/wheels -r requirements/torch.txt
	$(COMPILE) --find-links build/wheels --no-emit-package torch --no-emit-package triton \
		--extra cpu pyproject.toml -o requirements/cpu.txt
	$(COMPILE) --extra gpu pyproject.toml -o requirements/gpu.txt
	$(COMPILE) --constraints requirements/cpu.txt --group dev -o requirements/dev.txt
