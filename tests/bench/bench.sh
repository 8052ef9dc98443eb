#!/bin/bash
# Measure all cases, or those named: bench.sh all|NAME[,NAME...]
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

cd "$REPO"
"$REPO/hack/packages.sh" ip=iproute2 iptables=iptables
step "building the benchmarks" go build -o build/bench/bench ./tests/bench
build/bench/bench -case "$1" -out build/bench/results.json
