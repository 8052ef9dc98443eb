# Build, unless they are in the cache, $tools/etcd, $kubernetes/kube-apiserver and $clients/kubectl.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../kind/entries.sh"

"$KIND_DIR/fill.sh" "$tools" "building kind, etcd, CoreDNS and CNI plugins" "$KIND_DIR/build-tools.sh"
"$KIND_DIR/fill.sh" "$kubernetes" "building Kubernetes $KUBERNETES_VERSION" "$KIND_DIR/build-kubernetes.sh" \
	cmd/kube{adm,let,-apiserver,-controller-manager,-scheduler,-proxy}
"$KIND_DIR/fill.sh" "$clients" "building kubectl and agnhost" "$KIND_DIR/build-kubernetes.sh" cmd/kubectl test/images/agnhost
