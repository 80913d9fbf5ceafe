# Everyday commands. Each is a script or one cargo line; CI runs `make test`.

PORT ?= 9000
FUNCTION ?= get-user
EVENT ?=
ARGS ?=
ARCH ?= arm64
PROFILE ?= release
SHARD ?= 0/1

.DEFAULT_GOAL := help
.PHONY: help setup run test lint generate unit frozen mutants build validate sdk openapi dependencies invoke deploy-local deploy bench clean

help: ## Says what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo "  Variables: PORT=$(PORT) FUNCTION=$(FUNCTION) EVENT=$(EVENT) ARCH=$(ARCH) PROFILE=$(PROFILE)"

setup: ## Installs the pinned tools into .tools/ (once)
	@scripts/setup

run: ## Starts every function, the stores and the Lark simulator on 127.0.0.1:PORT
	cargo run --locked -p lark-local-host -- --port $(PORT) $(ARGS)

test: ## Runs every check and every test, as CI does
	@scripts/test

lint: ## Checks format, lints, documentation and what is generated
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	@scripts/generate --check

generate: ## Writes what is derived from the code: tables of the documents, sample files
	@scripts/generate

unit: ## Runs the workspace's tests beside Valkey and two DynamoDB APIs
	cargo build --locked --workspace --bins
	scripts/with-services cargo test --locked --workspace

frozen: ## Freezes each function at each of its requests, for 4, 12 and 70 seconds: the table of docs/reliability.md
	cargo build --locked --workspace --bins
	scripts/with-services cargo test --locked --workspace --test frozen-table -- --nocapture

mutants: ## Changes one line at a time in the core, and runs the tests, which must notice; hours (SHARD=0/40: some)
	@SHARD=$(SHARD) scripts/mutants

build: ## Builds the functions for Lambda (ARCH, PROFILE)
	@ARCH=$(ARCH) PROFILE=$(PROFILE) scripts/build-functions

validate: ## Checks template.yaml and scripts
	@scripts/validate

sdk: ## Checks the simulator with the official SDKs for Python and Node
	@scripts/check-sdk

openapi: ## Checks the running service against openapi.yaml
	@scripts/check-openapi

dependencies: ## Checks licences, sources and use of the dependencies, and advisories about them
	@scripts/check-dependencies
	@scripts/check-advisories

invoke: ## Runs FUNCTION under the Lambda runtime interface emulator with its sample events, or with EVENT
	@scripts/invoke $(FUNCTION) $(EVENT)

deploy-local: ## Deploys into an AWS emulator on this machine and tests the result
	@scripts/deploy-local

deploy: build ## Builds for ARCH and deploys into the AWS account of your credentials
	.tools/bin/sam deploy --guided --parameter-overrides Architecture=$(ARCH)

bench: ## Measures speed; see docs/performance.md
	@scripts/bench

clean: ## Removes what was built; the tools and the data of `make run` stay
	cargo clean
