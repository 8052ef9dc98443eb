#!/bin/bash
# Run the test of an outage with the WireGuard that this machine's kernel has, or with Signet's own: outage.sh
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

((EUID == 0)) || die "test-outage needs root"
"$REPO/hack/packages.sh" unshare=util-linux
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$REPO/tests/outage/gather.sh" "$scratch"
export SIGNET_OUTAGE_BIN=$scratch SIGNET_REQUIRE_ROOT=1
# In a PID namespace of its own, an interrupted test leaves no process behind.
unshare --pid --fork --kill-child --mount-proc \
	go test -C "$REPO" -tags e2e -count=1 -timeout 20m -v ./tests/outage
