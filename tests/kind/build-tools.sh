#!/bin/bash
# Build kind, etcd, CoreDNS and the CNI reference plugins: build-tools.sh OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly
build() { # MODULE OUT PACKAGE...
	local module=$1 out=$2
	shift 2
	go build -C "$KIND_DIR/modules/$module" -trimpath -ldflags "-s -w" -o "$out" "$@"
}

plugins=(main/loopback main/ptp ipam/host-local meta/portmap meta/bandwidth)
mkdir "$1/cni"
build tools "$1/kind" sigs.k8s.io/kind
build tools "$1/cni/" "${plugins[@]/#/github.com/containernetworking/plugins/plugins/}"
build etcd "$1/etcd" go.etcd.io/etcd/server/v3
build coredns "$1/coredns" github.com/coredns/coredns
