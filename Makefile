# make run: the default study, from nothing to its report.   make test: every check and test.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: run test lint clean

run: $(READY)
	$(BIN)/snakemake --cores $(shell env -u OMP_NUM_THREADS nproc)
	@echo "The report is $(CURDIR)/results/nano/report.html"

test: $(READY) lint
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv
