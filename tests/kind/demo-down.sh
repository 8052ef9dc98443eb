#!/bin/bash
# Remove what demo.sh made but the build cache and the engine: demo-down.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$KIND_DIR/cluster-down.sh"
rm -f "$SIGNET_CACHE/bin/signet-demo"
if docker image inspect "$SIGNET_IMAGE" >/dev/null 2>&1; then
	docker image rm --force "$SIGNET_IMAGE" >/dev/null
fi
# The network of kind stays while another cluster uses it.
if docker network inspect kind >/dev/null 2>&1; then
	docker network rm kind >/dev/null 2>&1 || say "the network of kind is still in use"
fi
say "the build cache $SIGNET_CACHE and the container engine stay"
