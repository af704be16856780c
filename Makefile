# `make captions` and `make assistant` show what it does, `make test` runs the tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SAMPLE ?= graphs/samples/austen.flac
QUESTION ?= graphs/samples/question.flac

.PHONY: captions assistant test test-slow lint install install-assistant install-dev clean

captions: install
	$(BIN)/streamer run graphs/live-captions.yaml --set SOURCE=$(SAMPLE)

assistant: install-assistant
	$(BIN)/streamer run graphs/assistant.yaml --no-summary --set SOURCE=$(QUESTION)

test: install-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/python -m pytest

test-slow: install-dev
	$(BIN)/python -m pytest -m slow --timeout 1800

install: $(VENV)/.installed
install-assistant: $(VENV)/.installed-assistant
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-assistant: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[assistant]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
