#!/bin/bash
# Run a command against an API server of its own: control.sh COMMAND...
. "$(dirname "${BASH_SOURCE[0]}")/../kind/entries.sh"

"$KIND_DIR/fill.sh" "$tools" "building kind, etcd, CoreDNS and CNI plugins" "$KIND_DIR/build-tools.sh"
"$KIND_DIR/fill.sh" "$kubernetes" "building Kubernetes $KUBERNETES_VERSION" "$KIND_DIR/build-kubernetes.sh" \
	cmd/kube{adm,let,-apiserver,-controller-manager,-scheduler,-proxy}
"$KIND_DIR/fill.sh" "$clients" "building kubectl and agnhost" "$KIND_DIR/build-kubernetes.sh" cmd/kubectl test/images/agnhost
cd "$REPO"
mkdir -p build
go build -o build/control ./tests/control
exec build/control -etcd "$tools/etcd" -kube-apiserver "$kubernetes/kube-apiserver" -kubectl "$clients/kubectl" "$@"
