#!/bin/bash
# Measure one agent among many nodes, pods, identities and policies: scale.sh [FLAG...]
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

cd "$REPO"
"$REPO/hack/packages.sh" ip=iproute2 unshare=util-linux
step "building the commands" make --no-print-directory build
step "building the benchmark" go build -o build/bench/scale ./tests/scale
exec "$REPO/tests/control/control.sh" --apart build/bench/scale -commands build -out build/bench/scale.json "$@"
