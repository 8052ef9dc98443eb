#!/bin/bash
# Make the kind cluster $CLUSTER, building what it takes: cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

"$KIND_DIR/packages.sh"
"$KIND_DIR/engine.sh"
"$KIND_DIR/build.sh"
PATH=$SIGNET_CACHE/bin:$PATH

if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
	kind export kubeconfig --quiet --name "$CLUSTER" || true
	families=$(kubectl --context "kind-$CLUSTER" get nodes -o 'jsonpath={.items[0].spec.podCIDRs}' 2>/dev/null || true)
	if [[ $families == *,* ]] && kubectl --context "kind-$CLUSTER" get --raw /readyz >/dev/null 2>&1; then
		say "cluster $CLUSTER is there"
		exit
	fi
	say "cluster $CLUSTER does not answer, or has no IPv6; making it anew"
	kind delete cluster --name "$CLUSTER"
fi

image=$("$KIND_DIR/node.sh")
step "creating cluster $CLUSTER" kind create cluster --name "$CLUSTER" --image "$image" \
	--config "$KIND_DIR/cluster.yaml"
if [[ $image == "$UPSTREAM_NODE" ]]; then
	step "completing the nodes of cluster $CLUSTER" "$KIND_DIR/provision.sh"
fi
cat <<HINT
kubectl and kind are in the cache:
export PATH=$SIGNET_CACHE/bin:\$PATH
HINT
