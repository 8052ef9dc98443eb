#!/bin/bash
# Run the end-to-end tests against $CLUSTER, or those whose names match, and count them: e2e.sh [PATTERN]
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

"$REPO/hack/packages.sh" chromium=chromium
SIGNET_PROMETHEUS=$("$REPO/tests/prometheus/fetch.sh")
export SIGNET_PROMETHEUS
alone
PATH=$SIGNET_CACHE/bin:$PATH
began=$SECONDS
status=0
log=$SIGNET_CACHE/log/e2e-$CLUSTER.log
mkdir -p "$(dirname "$log")"

go test -C "$REPO" -tags e2e -count=1 -timeout 40m -v -run "${1:-.}" ./tests/e2e 2>&1 | tee "$log" || status=$?

count() { grep -ac "^ *--- $1" "$log" || true; }
printf '%d passed, %d failed, %d skipped in %ds\n' "$(count PASS)" "$(count FAIL)" "$(count SKIP)" "$((SECONDS - began))"
(($(count SKIP) == 0)) || die "a test was skipped"
exit "$status"
