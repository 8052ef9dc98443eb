#!/bin/bash
# Build Kubernetes and the image of its network tests, agnhost: build-kubernetes.sh OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package=k8s.io/component-base/version
number=${KUBERNETES_VERSION#v}
IFS=. read -r major minor _ <<<"$number"
flags="-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=$major -X $package.gitMinor=$minor"
flags+=" -X $package.gitTreeState=clean"

cd "$KIND_DIR/modules/kubernetes"
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly
commands=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubeadm kubectl)
go build -trimpath -ldflags "$flags" -o "$1/" "${commands[@]/#/k8s.io/kubernetes/cmd/}" \
	k8s.io/kubernetes/test/images/agnhost
