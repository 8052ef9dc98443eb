#!/bin/bash
# Measure all cases, or those named: bench.sh all|NAME[,NAME...]
. "$(dirname "${BASH_SOURCE[0]}")/../kind/entries.sh"

cd "$REPO" || exit
"$REPO/hack/packages.sh" ip=iproute2 iptables=iptables nft=nftables ipset=ipset unshare=util-linux
step "building the commands" make --no-print-directory build
step "building the benchmarks" go build -o build/bench/ ./tests/bench ./tests/bench/agent
exec build/bench/bench -case "$1" -plugins "$tools/cni" -out build/bench/results.json
