#!/bin/bash
# Run tests as root, none of them skipped for want of it: test.sh PACKAGE...
. "$(dirname "${BASH_SOURCE[0]}")/../tests/kind/lib.sh"

longest=tests/netns # waits far more than it computes: two of its tests at a time run beside each other package
"$REPO/hack/packages.sh" ip=iproute2 tc=iproute2 iptables=iptables chromium=chromium
SIGNET_PROMETHEUS=$("$REPO/tests/prometheus/fetch.sh")
export SIGNET_PROMETHEUS
cd "$REPO"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
step "building what is to be tested" go build "$@"
step "building the test reporter" go build -o "$scratch/report" ./hack/testreport

# one BINARY PACKAGE TEST runs a test in a process of its own and prints its events at the end, as go test -json does.
one() {
	local status=0
	trap 'stop $!' EXIT
	(cd "$longest" && exec setsid "$(go tool -n test2json)" -t -p "$2.$3" \
		"$1" -test.v=test2json -test.timeout 10m -test.run "^$3\$") >"$scratch/$3" &
	wait $! || status=$?
	trap - EXIT
	flock "$scratch" cat "$scratch/$3"
	return $status
}

# each BINARY PACKAGE runs each test of a package. The last ones of the list come first: they take longest.
each() {
	local tests test status=0
	tests=$("$1" -test.list . | grep ^Test | tac)
	trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
	for test in $tests; do
		(($(jobs -rp | wc -l) < 2)) || wait -n || status=1
		one "$1" "$2" "$test" &
	done
	while [[ -n $(jobs -rp) ]]; do wait -n || status=1; done
	trap - EXIT
	return $status
}

# events PACKAGE... prints what go test -json would, and fails if a test does.
events() {
	local package rest=() apart="" status=0
	trap '[[ -z $apart ]] || kill "$apart" 2>/dev/null || true' EXIT
	for package; do
		if [[ $package != */$longest ]]; then
			rest+=("$package")
			continue
		fi
		step "building the tests of $longest" go test -c -o "$scratch/longest.test" "$package" >&2
		each "$scratch/longest.test" "$package" >"$scratch/events" &
		apart=$!
	done
	# Never from the cache: what the kernel does is no input that go knows of.
	((${#rest[@]} == 0)) || go test -json -count=1 -p 1 "${rest[@]}" || status=1
	if [[ -n $apart ]]; then
		tail -n +1 -f --pid="$apart" "$scratch/events"
		wait "$apart" || status=1
	fi
	trap - EXIT
	return $status
}

export SIGNET_REQUIRE_ROOT=1
mapfile -t packages < <(go list "$@")
events "${packages[@]}" | "$scratch/report"
