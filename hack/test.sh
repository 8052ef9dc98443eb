#!/bin/bash
# Run tests as root, none of them skipped for want of it: test.sh PACKAGE...
. "$(dirname "${BASH_SOURCE[0]}")/../tests/kind/lib.sh"

"$REPO/hack/packages.sh" ip=iproute2 tc=iproute2 iptables=iptables chromium=chromium
SIGNET_PROMETHEUS=$("$REPO/tests/prometheus/fetch.sh")
export SIGNET_PROMETHEUS
cd "$REPO"
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
step "building the test reporter" go build -o "$report/report" ./hack/testreport

# Never from the cache: what the kernel does is no input that go knows of.
export SIGNET_REQUIRE_ROOT=1
go test -json -count=1 -p 2 "$@" | "$report/report"
