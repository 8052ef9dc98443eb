# A real three-node cluster on this machine, made with kind. It needs no container registry.
CLUSTER ?= signet
SIGNET_CACHE ?= /var/cache/signet
SIGNET_IMAGE ?= ghcr.io/signet-cni/signet:dev
export CLUSTER SIGNET_CACHE SIGNET_IMAGE

.PHONY: cluster cluster-down image cache-clean

cluster: ## make the kind cluster and install Signet in it
	tests/kind/cluster.sh
	tests/kind/install.sh

cluster-down: ## remove the kind cluster
	tests/kind/cluster-down.sh

image: ## build Signet's image and load it into the cluster
	tests/kind/build-image.sh $(SIGNET_IMAGE)
	tests/kind/load-image.sh $(SIGNET_IMAGE)

cache-clean: ## remove what was built for clusters before a version or a script changed
	tests/kind/cache-clean.sh
