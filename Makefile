# Commands for working on Leadline. `make` alone lists them.

CARGO ?= cargo
NATS_SERVER = $(shell tools/bring-nats)
# Programs of developers do without jemalloc, whose build script takes minutes.
DEVELOPMENT = --no-default-features

.PHONY: help
help:
	@echo "make demo    send leads to three destinations and watch deliveries, retries and mails (KEEP=1: then look at it in the console)"
	@echo "make test    run every test against a real broker and real databases"
	@echo "make quick   run the tests that need no broker and no database: under a minute when built"
	@echo "make up      run Leadline until Ctrl-C, on http://127.0.0.1:8080 and grpc 127.0.0.1:9090"
	@echo "make console build console/dist from console/src"
	@echo "make bench   measure throughput, latency and cost"
	@echo "make chaos   kill every process under load, for minutes, and check that nothing is lost"
	@echo "make check   check format, lints and documentation"
	@echo "make release build the program for installations: target/dist/leadline"

# BENCH="--only latency" measures less; docs/benchmarks.md lists the options.
.PHONY: bench
bench: tools
	tools/bring-postgres >/dev/null
	$(CARGO) build --release --locked --package leadline --package bench
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" target/release/bench $(BENCH)

# SEED=… repeats a run; EVENTS=… and RATE=… (a second) set the load.
.PHONY: chaos
chaos: EVENTS ?= 10000
chaos: tools
	tools/bring-postgres >/dev/null
	tools/bring-faketime >/dev/null
	LEADLINE_CHAOS_SEED="$(SEED)" LEADLINE_CHAOS_EVENTS="$(EVENTS)" LEADLINE_CHAOS_RATE="$(RATE)" \
	LEADLINE_CHAOS_REPORT="$(CURDIR)/target/chaos" LEADLINE_NATS_SERVER="$(NATS_SERVER)" \
	$(CARGO) test --package leadline $(DEVELOPMENT) --locked --test chaos -- --nocapture --test-threads 1

.PHONY: check
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(DEVELOPMENT) --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace $(DEVELOPMENT) --no-deps --locked --document-private-items
	tools/check-console
	tools/check-proto

.PHONY: test
test: tools
	tools/bring-postgres >/dev/null
	tools/bring-python-grpc >/dev/null
	tools/bring-typescript >/dev/null
	tools/bring-openapi-tools >/dev/null
	tools/bring-pgbouncer >/dev/null
	tools/bring-libreoffice >/dev/null
	tools/bring-receivers >/dev/null
	tools/bring-proxies >/dev/null
	tools/bring-prometheus >/dev/null
	tools/bring-faketime >/dev/null
	tools/bring-browser >/dev/null
	tools/bring-languages
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" $(CARGO) test --workspace $(DEVELOPMENT) --locked

# Unit tests of every package except those that start a broker or a database; then the tests of whole crates that need neither.
QUICK = --workspace --exclude read_model --exclude testkit --exclude bench $(DEVELOPMENT) --locked
.PHONY: quick
quick:
	$(CARGO) test $(QUICK) --lib --bins
	$(CARGO) test $(QUICK) --exclude journal --test it --test reference --test corpus

# Installations get the stripped program; target/dist/leadline.debug beside it gives back lines in backtraces and to debuggers.
.PHONY: release
release:
	$(CARGO) build --release --locked --package leadline
	mkdir -p target/dist
	objcopy --only-keep-debug target/release/leadline target/dist/leadline.debug
	objcopy --strip-debug --add-gnu-debuglink=target/dist/leadline.debug target/release/leadline target/dist/leadline

# KEEP=1 keeps everything running at the end, and prints a link to the console.
.PHONY: demo
demo: tools
	$(CARGO) build --package leadline $(DEVELOPMENT) --locked
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" target/debug/leadline demo $(if $(KEEP),--keep)

# The files of the console that programs embed; commit them with their sources.
.PHONY: console
console:
	PATH="$$(tools/bring-node):$$PATH" npm --prefix console run --silent build

# A first receiver usually runs on the same machine and without TLS. A production installation sets neither of these flags.
.PHONY: up
up: tools
	$(CARGO) build --package leadline $(DEVELOPMENT) --locked
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" exec target/debug/leadline up --allow-plain-http --allow-network 127.0.0.0/8,::1/128

.PHONY: tools
tools:
	@tools/bring-nats >/dev/null
