# A real three-node cluster on this machine, made with kind. Nothing is pulled from a container registry.
CLUSTER ?= signet
SIGNET_CACHE ?= /var/cache/signet
export CLUSTER SIGNET_CACHE

.PHONY: cluster cluster-down

cluster: ## create the kind cluster, without a pod network
	tests/kind/cluster.sh

cluster-down: ## remove the kind cluster
	tests/kind/cluster-down.sh
