# The verbs of this project; `make help` lists them with their sentences.
.DEFAULT_GOAL := help
.PHONY: help dev test quick lint simulate prove prove-long proofs bench bench-peers bench-quick bench-long bench-parts benches flamegraph instructions kafka schemas consumers deploy test-kubernetes test-containers chart-readme tools licences

help: ## Show this list.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## Run everything in one process on loopback: a broker, the bridge, signed samples (no TLS: up soon).
	cargo run --no-default-features -- dev

test: ## Test every promise of the README: fetches Apache Kafka and the other tools it needs first.
	tests/all.sh

quick: ## The tests that need nothing but Rust; two minutes.
	cargo test

lint: ## Formatting, clippy and the documentation, without a warning.
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --profile proof --no-default-features -p proofs -p support -p bench --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

simulate: proofs ## Crash the journal 100,000 times on a simulated disk.
	target/proof/proofs run simulation

prove: proofs ## Run every proof of docs/proofs.md at the size that each commit gets; needs root, strace, xfsprogs, cargo-fuzz.
	tests/tools/fetch-kafka.sh
	target/proof/proofs run

prove-long: proofs ## Run proofs for FOR=8h in all (PROOFS="power kills" for some, SEED= to repeat), and add to docs/proofs.md.
	tests/tools/fetch-kafka.sh
	target/proof/proofs long --for $(or $(FOR),8h) $(if $(SEED),--seed $(SEED)) $(PROOFS)

proofs: ## Build the proofs and the bridge that they try, and do nothing else.
	cargo build --profile proof --no-default-features -p proofs -p retell-bridge

bench: benches ## Measure the bridge beside floors and peers, 20 minutes on two quiet cores, into docs/performance (ROWS="burst answer" for some).
	tests/tools/fetch-kafka.sh
	target/release/bench run $(ROWS)

bench-peers: benches ## The same beside every peer, and not the one in Rust alone; 40 minutes, and fetches them first.
	tests/tools/fetch-kafka.sh
	benches/peers/fetch.sh
	target/release/bench run --all-peers $(ROWS)

bench-quick: benches ## One short round of each row, to see that the bench works; its figures are noise and go to target/.
	tests/tools/fetch-kafka.sh
	target/release/bench run --quick $(ROWS)

bench-long: benches ## More of each: ten gigabytes of backlog, every peer; hours and 40 GB of disk.
	tests/tools/fetch-kafka.sh
	benches/peers/fetch.sh
	target/release/bench long $(ROWS)

bench-parts: ## Micro-benchmark each step of an event's way through our own code by itself (divan).
	cargo bench -p bench --bench parts

benches: ## Build the bench and the bridge that it measures, as users get it, and do nothing else.
	cargo build --release -p retell-bridge
	cargo build --release -p bench

flamegraph: benches ## Draw where the bridge's processor time goes under a closed loop of the mix; needs perf, and a build of its own.
	tests/tools/fetch-kafka.sh
	mkdir -p docs/performance
	RUSTFLAGS="-C force-frame-pointers=yes" CFLAGS="-fno-omit-frame-pointer" CARGO_PROFILE_RELEASE_STRIP=none \
		CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo build --release -p retell-bridge --target-dir target/flame
	target/release/bench flame --bridge target/flame/release/retell-bridge

instructions: ## Count the instructions of one event on its way through our own code, under valgrind, against a bound.
	tests/tools/fetch-valgrind.sh
	cargo test --profile proof --no-default-features -p bench --test instructions -- --nocapture

kafka: ## The tests against a real Apache Kafka, which they start themselves.
	tests/tools/fetch-kafka.sh
	tests/tools/fetch-sdks.sh
	tests/tools/fetch.sh deploy
	cargo test --test kafka -- --test-threads 4

schemas: ## Check the events' schemas with the official AsyncAPI parser, Ajv and Retell's SDK.
	tests/tools/fetch.sh sdks contract
	tests/schemas.sh

consumers: ## Run the consumers of examples/ against Apache Kafka and the bridge; CONSUMERS="python go" for some.
	tests/tools/fetch-kafka.sh
	tests/tools/fetch.sh postgres connect
	tests/consumers.sh $(CONSUMERS)

deploy: ## Check image, compose file, chart and alert rules with the real tools.
	tests/tools/fetch.sh deploy
	tests/deploy.sh

test-kubernetes: ## The chart on a real Kubernetes control plane, under Helm 3 and 4; builds it first (20 minutes, once).
	tests/tools/fetch.sh deploy control-plane
	tests/kubernetes.sh

test-containers: ## The image, built and run as Kubernetes would, docker compose up, Prometheus 3; needs root and podman (20 minutes).
	tests/tools/fetch-kafka.sh
	tests/tools/fetch.sh deploy prometheus containers
	tests/containers.sh

chart-readme: ## Write the chart's README from its values and README.md.gotmpl.
	tests/tools/fetch.sh deploy
	.tools/helm-docs/helm-docs --sort-values-order file -c helm/retell-bridge

tools: ## Fetch what the tests need into .tools/, and do nothing else.
	tests/tools/fetch-kafka.sh
	tests/tools/fetch-sdks.sh
	tests/tools/fetch.sh contract deploy postgres connect

licences: ## Bans, licences and sources of every dependency (cargo install --locked cargo-deny).
	cargo deny check bans licenses sources
