#!/bin/bash
# Build commands of Kubernetes: build-kubernetes.sh PACKAGE... OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package=k8s.io/component-base/version
number=${KUBERNETES_VERSION#v}
IFS=. read -r major minor _ <<<"$number"
flags="-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=$major -X $package.gitMinor=$minor"
flags+=" -X $package.gitTreeState=clean"

packages=("${@:1:$#-1}")
out=${!#}
cd "$KIND_DIR/modules/kubernetes"
CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly \
	go build -trimpath -ldflags "$flags" -o "$out/" "${packages[@]/#/k8s.io/kubernetes/}"
