# make run    set up and start the dashboard      make test   set up and run every check
# make format put code in order                   make lock   resolve the dependencies anew
# make holes  unsafe code and known holes          make sbom   the bill of materials, sbom.json
# make bench  measure the pipeline                make clean  remove what these targets made

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
PORT ?= 8501
VENV := .venv
# Half as many again as there are cores: many tests wait, for servers, browsers and clocks.
WORKERS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
PIP := $(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check -c requirements.lock
UV := $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python -c requirements.lock
# uv is many times faster; pip knows settings of this machine, such as where its packages come from.
INSTALL = { $(PIP) uv && $(UV) -r $(1); } 2>/dev/null || $(PIP) -r $(1)
RUNNING := $(VENV)/.installed-to-run
CHECKING := $(VENV)/.installed-to-check

.PHONY: run test style types tests holes sbom install format lock migration bench clean

run: $(RUNNING)
	@$(VENV)/bin/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null || \
		{ echo "Port $(PORT) is taken. Choose another one: make run PORT=8601"; exit 1; }
	@PORT=$(PORT) exec $(VENV)/bin/streamlit run app.py --server.port $(PORT)

# Types are checked beside the tests, which wait now and then. Each is gone through to its end.
test: $(CHECKING)
	@$(MAKE) --no-print-directory style
	@$(MAKE) --no-print-directory --keep-going --jobs=2 tests types

style:
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m tests.holes

types:
	nice $(VENV)/bin/mypy

tests:
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15

holes: $(CHECKING)
	$(VENV)/bin/python -m tests.holes

sbom: $(CHECKING)
	$(VENV)/bin/python -m tests.bill > sbom.json

install: $(RUNNING)

format: $(CHECKING)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(CHECKING)
	$(VENV)/bin/uv pip compile --quiet --upgrade --python-version 3.11 --python-platform linux \
		--no-annotate --no-header --output-file requirements.lock requirements-dev.txt

# make migration MESSAGE="add alert rules": the difference between core/store/tables and the chosen database.
migration: $(CHECKING)
	$(VENV)/bin/alembic upgrade head
	$(VENV)/bin/alembic revision --autogenerate --message "$(MESSAGE)" \
		--rev-id $$(printf %04d $$(($$(ls core/store/migrations/versions/[0-9]*.py | wc -l) + 1)))

bench: $(RUNNING)
	$(VENV)/bin/python -m core bench

clean:
	rm -rf $(VENV) sbom.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNNING): requirements.txt requirements.lock | $(VENV)/bin/pip
	@echo "Installing what the dashboard needs into $(VENV)"
	@$(call INSTALL,requirements.txt)
	@touch $@

$(CHECKING): requirements-dev.txt requirements.txt requirements.lock | $(VENV)/bin/pip
	@echo "Installing what the checks need into $(VENV)"
	@$(call INSTALL,requirements-dev.txt)
	@touch $@ $(RUNNING)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; on Debian: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
