# Everything below works on a fresh Debian machine with Go, make, git and root: each command installs what it lacks and
# says so. What it downloads or builds for later runs lies in $(SIGNET_CACHE), keyed by version.
SIGNET_CACHE ?= /var/cache/signet
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)
COMMANDS := $(patsubst cmd/%/,build/%,$(wildcard cmd/*/))
export SIGNET_CACHE

.DEFAULT_GOAL := help
.PHONY: help build test lint generate clean $(COMMANDS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(COMMANDS) ## static binaries in build/

$(COMMANDS): build/%:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/$*

test: ## unit, eBPF and network-namespace tests; needs root
	hack/test.sh ./...

lint: ## linters, formats, and whether generated files are current
	hack/lint.sh

generate: ## compile the eBPF programs and their Go types anew
	hack/generate.sh .

clean: ## remove build/
	rm -rf build

include $(wildcard tests/*/*.mk)
