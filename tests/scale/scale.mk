# The agent against a real API server that is full of simulated objects.
.PHONY: bench-scale

bench-scale: ## measure one agent with 5,000 nodes, 100,000 pods, 10,000 identities; build/bench/scale.json
	tests/scale/scale.sh
