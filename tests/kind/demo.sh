#!/bin/bash
# Show what Signet does on a kind cluster, which is made if it is not there: demo.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$KIND_DIR/cluster.sh"
"$KIND_DIR/install.sh"
alone
program=$SIGNET_CACHE/bin/signet-demo
step "building the demo" go build -C "$REPO" -o "$program" ./tests/e2e/demo
PATH=$SIGNET_CACHE/bin:$PATH exec "$program"
