#!/bin/bash
# Build Signet's own image from ./cmd: build-image.sh [NAME:TAG [COMMAND...]]
# CGO is off, so the binaries are static and the image needs nothing beside them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

image=${1:-$SIGNET_IMAGE}
shift || true
(($#)) || set -- ./cmd/signet ./cmd/signet-agent ./cmd/signet-cni ./cmd/signet-verifier ./cmd/signet-wg

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cd "$REPO"
version=$(git describe --always --dirty 2>/dev/null || echo unknown)
CGO_ENABLED=0 step "building the commands of $image" \
	go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$context/" "$@"
DOCKER_BUILDKIT=0 step "building image $image" \
	docker build --tag "$image" --file deploy/image/Dockerfile "$context"
