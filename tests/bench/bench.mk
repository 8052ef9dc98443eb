# Signet against the bare WireGuard device, in one run and by turns.
CASE ?= tcp

.PHONY: bench

bench: ## measure CASE (tcp) against bare WireGuard; results in build/bench/results.json
	go build -o build/bench/bench ./tests/bench
	build/bench/bench -case $(CASE) -out build/bench/results.json
