#!/bin/bash
# Remove the kind cluster $CLUSTER; the engine and the cache stay: cluster-down.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kind=$SIGNET_CACHE/bin/kind
if [[ -x $kind ]] && docker info >/dev/null 2>&1; then
	"$kind" delete cluster --name "$CLUSTER"
fi
