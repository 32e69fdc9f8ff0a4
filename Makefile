# Two commands do everything: `make run` and `make test`. See README.md.

CARGO ?= cargo
TARGETS = x86_64-unknown-linux-musl aarch64-unknown-linux-musl
NATIVE = $(shell uname -m)-unknown-linux-musl
MEASURED = target/bench/programs
VENV = target/venv
COUNT = target/x86_64-unknown-linux-musl/release/count

.PHONY: help art bench count count-set weight run test test-rust test-e2e test-package test-image test-ha test-all fuzz torture lint dist deps-bench deps-count deps-e2e deps-package deps-image deps-dist

help:
	@echo "make run       build the daemon and start it on https://localhost:8443"
	@echo "make test      every test that a change must pass (installs what it needs)"
	@echo "make test-ha   against a real Home Assistant Core (installs it: Python 3.13 or 3.14)"
	@echo "make test-all  all of these, and what is slower: the app's image, the public protocol suites"
	@echo "make torture   ten minutes of kills, drops and stuck tablets: nothing may be lost"
	@echo "make bench     what it costs, beside the bare limit and other servers; half an hour"
	@echo "make count     instructions of the hot paths: none may grow by a tenth (make count-set: baselines)"
	@echo "make weight    sizes of the static binaries and the number of crates in them"
	@echo "make lint      format and clippy, as CI runs them"
	@echo "make dist      static binaries for x86_64 and aarch64 in dist/"
	@echo "make art       draw icon.png and logo.png"

run:
	$(CARGO) run --release --locked --bin wallcast

test: test-rust test-e2e test-package

test-rust:
	$(CARGO) test --locked --workspace --exclude fleet --exclude micro

test-e2e: deps-e2e
	$(CARGO) build --locked
	cd tests/e2e && PYTHON=$(CURDIR)/$(VENV)/bin/python npm test

# The app as Home Assistant's store reads it: rules that need no Supervisor.
test-package: deps-package
	$(CARGO) build --locked
	$(VENV)/bin/python -m unittest discover tests/package

# The image as it will run, and both binaries of `make dist`.
test-image: deps-package deps-image dist
	$(VENV)/bin/python -m unittest discover tests/image

test-all: test fuzz test-ha test-image
	crates/realtime-protocol/tests/protocol/public_suites.sh

# The running daemon before schemathesis, for minutes rather than for one; WALLCAST_SEED chooses others.
fuzz: deps-e2e
	$(CARGO) build --locked
	cd tests/e2e && PYTHON=$(CURDIR)/$(VENV)/bin/python WALLCAST_FUZZ=long node --test openapi.test.mjs

# Against a real Home Assistant Core, behind a stand-in Supervisor.
test-ha:
	tests/ha/install.sh
	$(CARGO) build --locked
	cd tests/ha && npm test

# WALLCAST_TORTURE_SECONDS sets its length, WALLCAST_SEED repeats the choices of a run.
torture:
	$(CARGO) test --locked --test durability torture -- --ignored --nocapture

# Half an hour on two cores that do nothing else. Writes its tables into docs/performance.md.
# Wallcast is measured as it ships, which decides its allocator. Data folders lie beside the build, on its
# disk: /tmp may be memory, where lasting costs nothing.
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

# Sizes of the binaries in dist/, and what they are made of, into docs/performance.md.
weight: dist
	$(CARGO) run --locked -p fleet -- --report docs/performance.md weight

# Instructions of the codecs and the hub, as they are shipped for x86_64, against the baselines in
# benches/micro/counts.txt: more than a tenth above one fails. It is made of what `make dist` compiled.
count: $(COUNT)
	$(COUNT)

# Sets the baselines anew. They change only in a commit that says why.
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

deps-bench:
	cd benches/peers/seed0 && npm ci --no-audit --no-fund

deps-count: deps-dist
	command -v valgrind >/dev/null || \
		(apt-get update -qq && apt-get install -y --no-install-recommends valgrind)

deps-e2e: $(VENV)/bin/python
	command -v chromium >/dev/null || \
		(apt-get update -qq && apt-get install -y --no-install-recommends chromium)
	cd tests/e2e && npm ci --no-audit --no-fund
	$(VENV)/bin/python -m pip install --quiet -r tests/e2e/requirements.txt

deps-package: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet -r tests/package/requirements.txt
	[ -x /usr/sbin/apparmor_parser ] || \
		(apt-get update -qq && apt-get install -y --no-install-recommends apparmor) || \
		echo "apparmor_parser cannot be installed: the profile's syntax is not checked" >&2

# Debian's packages; each is asked for only where its program is missing.
deps-image:
	(for program in buildah podman runc qemu-aarch64-static; do command -v $$program || exit; done) >/dev/null || \
		(apt-get update -qq && apt-get install -y --no-install-recommends buildah podman runc qemu-user-static)

art: deps-package
	$(VENV)/bin/python packaging/draw.py

# The C parts (SQLite, ring) are cross-compiled by zig, which comes as a Python package. 0.15 has musl's own
# allocator; 0.17 another, which takes half as much again and gives nothing back (docs/performance.md).
deps-dist: $(VENV)/bin/python
	rustup target add $(TARGETS)
	$(VENV)/bin/python -m pip install --quiet ziglang==0.15.2 cargo-zigbuild==0.24.0

$(VENV)/bin/python:
	python3 -m venv $(VENV) || (apt-get install -y python3-venv && python3 -m venv $(VENV))
