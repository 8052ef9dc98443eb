#!/bin/bash
# Run the upstream suite's NetworkPolicy cases that need no SCTP sockets against $CLUSTER, and print each with the time
# it took. Fails unless exactly the expected number passed: conformance.sh [NUMBER]
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

want=${1:-45}
report=$SIGNET_CACHE/log/conformance.json
kubeconfig=$SIGNET_CACHE/log/conformance.kubeconfig

"$KIND_DIR/fill.sh" "$suite" "building the upstream suite" "$KIND_DIR/build-suite.sh"
alone
"$SIGNET_CACHE/bin/kind" get kubeconfig --name "$CLUSTER" >"$kubeconfig"

rm -f "$report"
began=$SECONDS
status=0
# A case that fails is not tried again, so that it cannot pass by luck.
"$suite/ginkgo" --procs=3 --focus=Netpol --skip=SCTP --flake-attempts=1 --no-color --silence-skips \
	--output-dir "$(dirname "$report")" --json-report "$(basename "$report")" "$suite/e2e.test" -- \
	--kubeconfig="$kubeconfig" --provider=local >"$SIGNET_CACHE/log/conformance.log" 2>&1 &
pid=$!
trap 'kill "$pid"' EXIT
while kill -0 "$pid" 2>/dev/null; do
	sleep 2
	(((SECONDS - began) % 60 > 1)) || say "running the suite ... $((SECONDS - began))s"
done
wait "$pid" || status=$?
trap - EXIT

[[ -s $report ]] || {
	tail -n 30 "$SIGNET_CACHE/log/conformance.log" >&2
	die "the suite ended with status $status and no report"
}
go run -C "$REPO" ./tests/kind/conformance "$report" "$want"
say "took $((SECONDS - began))s; the whole log is $SIGNET_CACHE/log/conformance.log"
((status == 0)) || die "the suite ended with status $status"
