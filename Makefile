# What people do with Leadline's sources. `make` alone says what there is.

CARGO ?= cargo
NATS_SERVER = $(shell tools/bring-nats)

.PHONY: help
help:
	@echo "make demo    watch leads travel: published, delivered, retried, reported, brought home"
	@echo "make test    every test, against a real broker and real databases"
	@echo "make up      run Leadline until Ctrl-C, on http://127.0.0.1:8080 and grpc 127.0.0.1:9090"
	@echo "make bench   what it does in a second, and what that costs"
	@echo "make check   format, lints, documentation"

.PHONY: bench
bench: tools
	$(CARGO) build --release --locked --package leadline --package bench
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" target/release/bench

.PHONY: check
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --locked --document-private-items

.PHONY: test
test: tools
	tools/bring-postgres >/dev/null
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" $(CARGO) test --workspace --locked

.PHONY: demo
demo: tools
	$(CARGO) build --package leadline --locked
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" target/debug/leadline demo

# A receiver on this machine is what people try first; a real installation allows neither of the two.
.PHONY: up
up: tools
	$(CARGO) build --package leadline --locked
	LEADLINE_NATS_SERVER="$(NATS_SERVER)" exec target/debug/leadline up --allow-plain-http --allow-network 127.0.0.0/8,::1/128

.PHONY: tools
tools:
	@tools/bring-nats >/dev/null
