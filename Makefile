# Everything a developer types; CI types `make test` too. Long work lives in scripts/, this file only names it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)

STAGE := scripts/stage.sh
IMAGE ?= postmesh
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
NEXTEST_PROFILE := $(if $(CI),ci,default)

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done

.PHONY: dev
dev: ## Run every service in one process with sandbox networks; Ctrl-C stops it
	@scripts/setup.sh build
	@exec cargo run -p postmesh -- up --sandbox

.PHONY: test
test: ## Install what is missing, check, run every test beside a throwaway PostgreSQL and Redis, and the fault suite
	@$(STAGE) -v setup scripts/setup.sh test
	@$(MAKE) check
	@$(STAGE) 'generate clients' scripts/generate.sh
	@$(STAGE) 'check clients' scripts/check-clients.sh
	@$(STAGE) -v 'build tests' cargo nextest run --workspace --no-run --cargo-quiet
	@$(STAGE) -v tests scripts/with-servers.sh scripts/test.sh $(NEXTEST_PROFILE)
	@$(STAGE) 'wire against published documents' scripts/check-wire.sh
	@$(STAGE) -v chaos target/debug/postmesh chaos

.PHONY: chaos
chaos: ## Break it on purpose and check that nothing is lost or posted twice: `make chaos ARGS="--hours 1"`
	@scripts/setup.sh test
	@cargo build --quiet -p postmesh
	@exec target/debug/postmesh chaos $(ARGS)

.PHONY: check
check: ## Format, lints, dependencies, contracts, scripts, compose, image and Kubernetes files
	@scripts/setup.sh tools
	@scripts/check.sh

.PHONY: audit
audit: ## Compare the dependencies with the advisory database (fetched from its home)
	@scripts/setup.sh tools
	@cargo deny --all-features check advisories

.PHONY: bench
bench: ## Measure: `postmesh bench` on a release build
	@scripts/setup.sh build
	@exec cargo run --release -p postmesh -- bench $(ARGS)

.PHONY: generate
generate: ## Generate the TypeScript and Python clients into clients/
	@scripts/setup.sh tools
	@scripts/generate.sh
	@scripts/check-clients.sh

.PHONY: images
images: ## Build the container image postmesh:VERSION (needs a Docker engine)
	@docker build --pull --tag "$(IMAGE):$(TAG)" .

.PHONY: compose-env
compose-env: ## Write .env with fresh random secrets for docker-compose.yml
	@scripts/compose-env.sh
