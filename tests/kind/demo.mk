# The main job in one command, and its removal.
.PHONY: demo demo-down

demo: ## make a cluster, install Signet, and show what it does
	tests/kind/demo.sh

demo-down: ## remove the cluster and Signet's image
	tests/kind/demo-down.sh
