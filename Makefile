# The main commands are `make run` and `make test`. See README.md.

CARGO ?= cargo
TARGETS = x86_64-unknown-linux-musl aarch64-unknown-linux-musl
NATIVE = $(shell uname -m)-unknown-linux-musl
MEASURED = target/bench/programs
VENV = target/venv
COUNT = target/x86_64-unknown-linux-musl/release/count

# The Rust tests that use Wallcast only from outside: its sockets, HTTP API and command line.
FRONT_DOOR = --test it --test cli --test durability
OTHER_TESTS = --lib --bins --examples --test architecture --test protocol
TESTED = --locked --workspace --exclude fleet --exclude micro

.PHONY: help art bench count count-set demo dev weight run test test-rust test-unit test-front-door test-e2e test-package test-image test-ha test-all fuzz torture lint dist deps-bench deps-count deps-demo deps-e2e deps-package deps-image deps-dist deps-test

help:
	@echo "make run       build the daemon and start it on https://localhost:8443"
	@echo "make dev       the same as a debug build, with its log at level debug and its data in target/dev-data"
	@echo "make demo      a debug build with a simulated home, two tablets and an admin's page to open"
	@echo "make test      every test that a change must pass (lists and installs its dependencies)"
	@echo "make test-ha   tests against a real Home Assistant Core (installs it; needs Python 3.13 or 3.14)"
	@echo "make test-all  all of these and slower ones: long fuzzing, the image, the public protocol suites"
	@echo "make torture   ten minutes of kills, drops and stuck tablets: no event may be lost"
	@echo "make bench     processor time, memory and latency, compared with other servers (half an hour)"
	@echo "make count     instruction counts of hot paths: none may grow by more than 10 % (make count-set: new baselines)"
	@echo "make weight    sizes of the static binaries, and the number of crates in them"
	@echo "make lint      format and clippy, as CI runs them"
	@echo "make dist      static binaries for x86_64 and aarch64 in dist/"
	@echo "make art       draw icon.png and logo.png"
	@echo "With NO_INSTALL=1 a target lists what it would install, and fails if that is anything."

run:
	$(CARGO) run --release --locked --bin wallcast

# Web pages are read from web/ while it runs: reload the browser. After a change of Rust code stop it and start it again.
dev:
	$(CARGO) build --locked --bin wallcast
	target/debug/wallcast serve --data-dir target/dev-data --log-level debug

# Starts with an empty folder, target/demo-data, each time.
demo: deps-demo
	$(CARGO) build --locked --bin wallcast
	node tests/demo/demo.mjs

test: deps-test test-rust test-e2e test-package

test-rust: test-unit test-front-door

# Modules, crates and the architecture: everything but the front door.
test-unit:
	$(CARGO) test $(TESTED) $(OTHER_TESTS)
	$(CARGO) test $(TESTED) --doc

test-front-door:
	$(CARGO) test $(TESTED) $(FRONT_DOOR)

test-e2e: deps-e2e
	$(CARGO) build --locked
	cd tests/e2e && PYTHON=$(CURDIR)/$(VENV)/bin/python npm test

# Tests the app's files against the rules of Home Assistant's store. Needs no Supervisor.
test-package: deps-package
	$(CARGO) build --locked
	$(VENV)/bin/python -m unittest discover tests/package

# Tests the image and both binaries of `make dist`.
test-image: deps-package deps-image dist
	$(VENV)/bin/python -m unittest discover tests/image

test-all: test fuzz test-ha test-image
	crates/realtime-protocol/tests/protocol/public_suites.sh

# Fuzzes the running daemon with schemathesis for minutes. WALLCAST_SEED selects other requests.
fuzz: deps-e2e
	$(CARGO) build --locked
	cd tests/e2e && PYTHON=$(CURDIR)/$(VENV)/bin/python WALLCAST_FUZZ=long node --test openapi.test.mjs

# Tests against a real Home Assistant Core, behind a stand-in for Supervisor.
test-ha:
	tests/ha/install.sh
	$(CARGO) build --locked
	cd tests/ha && npm test

# WALLCAST_TORTURE_SECONDS sets its length, WALLCAST_SEED repeats the random choices of a run.
torture:
	$(CARGO) test --locked --test durability torture -- --ignored --nocapture

# Takes half an hour on two otherwise idle cores. Writes its tables into docs/performance.md.
# Measures the static release binary, because the allocator differs from a normal build. Data folders are beside
# the build, on disk: /tmp may be in memory, where fsync costs nothing.
bench: export TMPDIR = $(CURDIR)/target/bench
bench: deps-bench deps-dist
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CARGO) zigbuild --release --locked --target $(NATIVE)
	$(CARGO) build --release --locked -p fleet
	install -D target/$(NATIVE)/release/wallcast $(MEASURED)/wallcast
	install target/release/limit target/release/socketioxide $(MEASURED)
	target/release/fleet --programs $(MEASURED) --report docs/performance.md durable
	target/release/fleet --programs $(MEASURED) --report docs/performance.md ephemeral
	target/release/fleet --programs $(MEASURED) --report docs/performance.md growth
	target/release/fleet --programs $(MEASURED) --report docs/performance.md compare
	target/release/fleet --programs $(MEASURED) --report docs/performance.md handshakes
	$(CARGO) bench --locked --bench durability
	$(CARGO) bench --locked -p micro --bench time

# Writes the sizes of the binaries in dist/ and their crates into docs/performance.md.
weight: dist
	$(CARGO) run --locked -p fleet -- --report docs/performance.md weight

# Counts the instructions of codecs and hub in the x86_64 release build. Fails if one is more than 10 % above its
# baseline in benches/micro/counts.txt. Reuses the build of `make dist`.
count: $(COUNT)
	$(COUNT)

# Writes new baselines. Commit them only with the reason.
count-set: $(COUNT)
	$(COUNT) --set

$(COUNT): deps-count
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CARGO) zigbuild --release --locked --target x86_64-unknown-linux-musl -p micro --bin count

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

dist: deps-dist
	for target in $(TARGETS); do \
		PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CARGO) zigbuild --release --locked --target $$target || exit 1; \
		install -D target/$$target/release/wallcast dist/wallcast-$${target%%-*} || exit 1; \
	done
	ls -l dist

# Each lists what is missing before it installs it.
deps-test:
	packaging/install.sh rust e2e package

deps-bench deps-count deps-demo deps-dist deps-e2e deps-image deps-package:
	packaging/install.sh $(@:deps-%=%)

art: deps-package
	$(VENV)/bin/python packaging/draw.py
