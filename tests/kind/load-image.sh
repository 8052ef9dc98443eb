#!/bin/bash
# Copy images of the engine into every node of $CLUSTER: load-image.sh NAME:TAG...
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($#)) || die "usage: load-image.sh NAME:TAG..."
step "loading $* into cluster $CLUSTER" \
	"$SIGNET_CACHE/bin/kind" load docker-image --name "$CLUSTER" "$@"
