# Licet: what a user and a contributor run. Everything is installed into .venv from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --root-user-action ignore
INSTALL := $(PIP) --require-hashes

# What was said to make itself: PORT=9000 make serve, or a HOST that a shell exports, is nobody's wish.
said = $(if $(filter command line,$(origin $(1))),$(2) $($(1)))

# Each process of tests, and each program that it starts, would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve test test-wide test-long tools check format docs pictures bench bench-quick bench-scale bench-sessions bench-page bench-flood bench-passwords bench-guard bench-options bench-instructions bench-overhead bench-neighbours bench-flames chaos attack interop release site site-serve lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/server.stamp ## install, then run a demo on 127.0.0.1:8080; PORT=9000 ADMIN_PORT=9001 HOST= DATA= HISTORY=1
	@$(BIN)/licet demo $(call said,PORT,--port) $(call said,ADMIN_PORT,--admin-port) $(call said,HOST,--host) $(call said,DATA,--data) $(if $(call said,HISTORY,with),--with-history) || { code=$$?; [ $$code -ne 2 ] || echo "With make, an option is written like this: make serve PORT=9000 ADMIN_PORT=9001" >&2; exit $$code; }

# Some tests wait for servers, so there is one process more than processors. Each begins with a third of the tests in
# their order, as those of a file share servers; who is done takes half of what another still has.
test: tools ## install what the tests need, then run them all, three at a time
	@$(BIN)/python -m pytest -n 3 --dist worksteal

tools: $(VENV)/dev.stamp ## Chromium, nginx, Apache and HAProxy for the tests, where missing and to be had
	@PYTHONPATH=tests $(BIN)/python -m support.admin.browser
	@PYTHONPATH=tests $(BIN)/python -m support.server.proxies

test-wide: tools ## every page of the dashboard and every how-to, and more kills: what is too much for each time
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m wide

test-long: $(VENV)/dev.stamp ## the same rules against a model for minutes, with another seed each time
	@$(BIN)/python -m pytest -m long

check: $(VENV)/dev.stamp ## format, lint, types and the floors between modules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/dev.stamp ## make the reference pages that are made from the code
	@$(BIN)/python docs/make_command_line.py > docs/reference/command-line.md
	@$(BIN)/python -m licet.settings.page > docs/reference/configuration.md
	@$(BIN)/python -m licet.telemetry.metrics > docs/reference/metrics.md
	@$(BIN)/python docs/make_admin_api.py > docs/reference/admin-api.md
	@$(BIN)/python docs/make_admin_client.py src/licet/admin_client docs/reference/admin-client.md
	@$(BIN)/python docs/make_connection.py > docs/explanation/connection.md
	@$(BIN)/python docs/make_snippets.py

pictures: tools ## take the pictures of the dashboard anew, and draw the diagrams of the site (Chromium, npm)
	@$(BIN)/python docs/make_pictures.py
	@$(BIN)/python -m website.diagrams

bench: $(VENV)/dev.stamp ## measure the server beside the floor and peers, 50 min (needs wrk); WITH='--help' tells how less
	@$(BIN)/python -m bench run $(WITH)

bench-quick: $(VENV)/dev.stamp ## two minutes of that
	@$(BIN)/python -m bench run --quick $(WITH)

bench-scale: $(VENV)/dev.stamp ## measure cost against sessions, tenants, clients, seats and nodes (needs wrk)
	@$(BIN)/python -m bench scale $(WITH)

bench-sessions: $(VENV)/dev.stamp ## measure each kind of request with ten million live sessions beside a thousand (8 GB of disk)
	@$(BIN)/python -m bench sessions $(WITH)

bench-page: $(VENV)/dev.stamp ## make the pages from the results that are kept; WITH='--run FILE --scale FILE' keeps others
	@$(BIN)/python -m bench page $(WITH)

bench-guard: $(VENV)/dev.stamp ## count what a request takes, and fail when it is 15 per cent more than before
	@$(BIN)/python -m bench guard $(WITH)

bench-options: $(VENV)/dev.stamp ## measure a grant in a pool with a million seats and 100 rules beside one with few and none
	@$(BIN)/python -m bench options $(WITH)

bench-instructions: $(VENV)/dev.stamp ## count the processor's own instructions of a request (needs valgrind)
	@$(BIN)/python -m bench instructions $(WITH)

bench-flames: $(VENV)/dev.stamp ## draw flame graphs of a server at work (needs wrk and py-spy)
	@$(BIN)/python -m bench flames $(WITH)

bench-neighbours: $(VENV)/dev.stamp ## measure what an API pays for its guard, and a program for LicetAuth, 4 min (needs wrk)
	@$(BIN)/python -m bench neighbours $(WITH)

bench-flood: $(VENV)/dev.stamp ## measure what good clients keep while wrong secrets flood in, 1 min (needs wrk)
	@$(BIN)/python -m bench flood $(WITH)

bench-passwords: $(VENV)/dev.stamp ## measure how long a password waits while wrong ones flood in, 20 s
	@$(BIN)/python -m bench passwords

bench-overhead: $(VENV)/dev.stamp ## count what the journal and the metrics take of a grant; WITH=--valgrind for more
	@$(BIN)/python -m bench overhead $(WITH)

SEED ?= 0
MINUTES ?= 3
STORE ?= sqlite
chaos: $(VENV)/dev.stamp ## break nodes under load, and check what they answered: SEED= MINUTES= STORE=sqlite|postgres WITH=
	@$(BIN)/python -m chaos run --seed $(SEED) --minutes $(MINUTES) --store $(STORE) $(WITH)

SECONDS ?= 60
attack: $(VENV)/dev.stamp ## try to get more people to work than seats are signed, 60 s for each way: SECONDS=
	@$(BIN)/python -m chaos attack --seconds $(SECONDS)

interop: $(VENV)/dev.stamp ## run other people's clients and gateways against a server; WRITE=1 ONLY=go/oauth2
	@$(BIN)/python -m interop $(if $(WRITE),--write) $(addprefix --only ,$(ONLY))
	@$(if $(ONLY),,$(BIN)/python -m pytest --quiet interop)

release: $(VENV)/dev.stamp ## build this commit into dist/, try it in empty environments, write SBOM and checksums
	@$(BIN)/python -m release

site: $(VENV)/dev.stamp ## build the docs as a site into dist/site, with search and every link checked
	@$(BIN)/python -m website

site-serve: site ## show that site on 127.0.0.1:8090; PORT=9000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory dist/site $(if $(filter command line,$(origin PORT)),$(PORT),8090)

lock: $(VENV)/dev.stamp ## renew the lock files from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra server --extra postgres --extra charts --extra otel --group build $(LOCK) -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra server --extra postgres --extra charts --extra otel --group build --group dev $(LOCK) -o requirements-dev.lock
	@$(BIN)/uv pip compile interop/requirements.in $(LOCK) -o interop/requirements.lock
	@$(BIN)/uv pip compile release/requirements.in $(LOCK) -o release/requirements.lock
	@$(BIN)/uv pip compile website/requirements.in $(LOCK) -o website/requirements.lock
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

clean: ## remove the virtual environment and what tools left behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist interop/.venv interop/.built interop/.dotnet website/.venv

$(VENV)/server.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Licet needs Python 3.11 or newer; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing Licet into $(VENV): once, about a minute, 330 MB."
	@echo "1 of 3: an environment of its own"
	@$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: what it needs, $$(grep -c '^[a-z].*==' requirements.lock) packages"
	@$(INSTALL) -r requirements.lock
	@echo "3 of 3: Licet itself"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/server.stamp requirements-dev.lock
	@echo "Installing what the tests need: once, $$(grep -c '^[a-z].*==' requirements-dev.lock) packages."
	@$(INSTALL) -r requirements-dev.lock
	@touch $@
