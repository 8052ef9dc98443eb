#!/bin/bash
# Build the upstream end-to-end suite, e2e.test and ginkgo: build-suite.sh OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$KIND_DIR/modules/kubernetes"
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly
flags="-s -w -X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION"
go test -c -trimpath -ldflags "$flags" -o "$1/e2e.test" k8s.io/kubernetes/test/e2e
go build -trimpath -ldflags "-s -w" -o "$1/" github.com/onsi/ginkgo/v2/ginkgo
