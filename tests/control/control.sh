#!/bin/bash
# Run a command against an API server of its own, with --apart both in network and mount namespaces of their own, where
# nodes in further namespaces can reach it:
# control.sh [--apart] COMMAND...
. "$(dirname "${BASH_SOURCE[0]}")/../kind/entries.sh"

"$KIND_DIR/fill.sh" "$tools" "building kind, etcd, CoreDNS and CNI plugins" "$KIND_DIR/build-tools.sh"
"$KIND_DIR/fill.sh" "$kubernetes" "building Kubernetes $KUBERNETES_VERSION" "$KIND_DIR/build-kubernetes.sh" \
	cmd/kube{adm,let,-apiserver,-controller-manager,-scheduler,-proxy}
"$KIND_DIR/fill.sh" "$clients" "building kubectl and agnhost" "$KIND_DIR/build-kubernetes.sh" cmd/kubectl test/images/agnhost
cd "$REPO" || exit
apart=() listen=127.0.0.1
if [[ $1 == --apart ]]; then
	listen=198.51.100.1 # TEST-NET-2
	# shellcheck disable=SC2016  # expanded by the inner shell
	apart=(unshare --net --mount sh -c 'ip link set lo up && ip address add "$0/32" dev lo && exec "$@"' "$listen")
	shift
fi
mkdir -p build
go build -o build/control ./tests/control
exec "${apart[@]}" build/control -listen $listen -etcd "$tools/etcd" -kube-apiserver "$kubernetes/kube-apiserver" -kubectl "$clients/kubectl" "$@"
