# Signet against what it is compared with, in one run and by turns.
CASE ?= all

.PHONY: bench

bench: ## measure every case, or CASE=name; table, and JSON in build/bench/results.json
	tests/bench/bench.sh $(CASE)
