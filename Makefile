# SDx: `make run` and `make test` are all one needs; the rest is for developers.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
ARGS ?=
SETUP = @PYTHONPATH=ui "$(PYTHON)" -m sdx_ui.install

.DEFAULT_GOAL := help
.PHONY: help run test check python clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: python  ## set up, then run ship, guard, agent, model and page (options: make run ARGS="--port 7861")
	$(SETUP) farm medicine
	@exec .venv/bin/sdx up $(ARGS)

test: python  ## set up, then pass the tests (options: make test ARGS="tests/ui -x")
	$(SETUP) data dev farm medicine onnx onnx-runtime prompt rag ray train tune
	@exec .venv/bin/python -m pytest $(ARGS)

check: python  ## format, lint, types, arrows between folders
	$(SETUP) data dev farm medicine onnx onnx-runtime prompt rag ray train tune
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -q tests/test_architecture.py

clean:  ## remove the environment and the logs of runs
	rm -rf .venv runs

python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found: install one (Debian: apt-get install python3.11 python3.11-venv)" \
		"or say make run PYTHON=/path/to/python3.11" >&2; exit 1; }
