#!/bin/bash
# Install Signet in $CLUSTER, or bring it up to date, and wait until it works: install.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

alone
PATH=$SIGNET_CACHE/bin:$PATH
mark=signet.test/image

kubectl() { command kubectl --context "kind-$CLUSTER" "$@"; }

# what_is_missing prints a line for everything that is not up yet.
what_is_missing() {
	kubectl get nodes --no-headers | awk '$2 != "Ready" { print "node " $1 " is " $2 }' || echo "no API server"
	kubectl get pods -n kube-system --no-headers -l 'k8s-app in (kube-dns, kube-proxy)' |
		awk '{ split($2, ready, "/") } ready[1] != ready[2] { print "pod " $1 " is " $3 }' || echo "no API server"
}

wait_until_up() {
	local missing
	for ((tries = 0; tries < 180; tries++)); do
		missing=$(what_is_missing)
		[[ -n $missing ]] || return 0
		((tries % 10)) || say "waiting: ${missing//$'\n'/, }"
		sleep 1
	done
	die "not up after 3 minutes: ${missing//$'\n'/, }"
}

"$KIND_DIR/build-image.sh" "$SIGNET_IMAGE"
image=$(docker image inspect --format '{{.Id}}' "$SIGNET_IMAGE")
runs=$(kubectl get daemonset signet -n kube-system --ignore-not-found \
	-o "jsonpath={.metadata.annotations.${mark//./\\.}}")

[[ $runs == "$image" ]] || "$KIND_DIR/load-image.sh" "$SIGNET_IMAGE"
# The manifest, with the ranges of this cluster.
manifest() {
	local pods services
	pods=$(awk '$1 == "podSubnet:" { print $2 }' "$KIND_DIR/cluster.yaml")
	services=$(awk '$1 == "serviceSubnet:" { print $2 }' "$KIND_DIR/cluster.yaml")
	sed -E "s|^( *clusterCIDR:).*|\1 $pods|; s|^( *serviceCIDR:).*|\1 $services|" "$REPO/deploy/signet.yaml"
}

say "kubectl apply -f deploy/signet.yaml"
manifest | kubectl apply -f - | awk '$NF != "unchanged" { print "    " $0 }' >&2
# A new image has the old one's name, so nothing but a restart makes the nodes take it.
if [[ -n $runs && $runs != "$image" ]]; then
	kubectl rollout restart daemonset/signet daemonset/signet-wg deployment/signet-verifier -n kube-system >&2
fi
kubectl annotate --overwrite daemonset signet -n kube-system "$mark=$image" >/dev/null

step "starting Signet on all nodes" "$SIGNET_CACHE/bin/kubectl" --context "kind-$CLUSTER" \
	rollout status daemonset/signet deployment/signet-verifier -n kube-system --timeout=5m
wait_until_up
say "all nodes and CoreDNS are ready"
