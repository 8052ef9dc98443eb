#!/bin/bash
# Build what every cluster needs, as far as the cache lacks it, and link the commands into the cache's bin: build.sh
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

background=
trap '[[ -z $background ]] || kill "$background"' EXIT

# The file system waits for downloads, the compilers for processors: together they take as long as the compilers.
"$KIND_DIR/fill.sh" "$rootfs" "unpacking Debian $DEBIAN_RELEASE for the nodes" "$KIND_DIR/build-rootfs.sh" &
background=$!
"$KIND_DIR/fill.sh" "$tools" "building kind, etcd, CoreDNS and CNI plugins" "$KIND_DIR/build-tools.sh"
"$KIND_DIR/fill.sh" "$clients" "building kubectl and agnhost" "$KIND_DIR/build-kubernetes.sh" cmd/kubectl test/images/agnhost
wait "$background"
background=

"$KIND_DIR/fill.sh" "$test_images" "building the test images" "$KIND_DIR/build-test-images.sh" "$rootfs" "$clients"

mkdir -p "$SIGNET_CACHE/bin"
ln -sfn "$tools/kind" "$clients/kubectl" "$SIGNET_CACHE/bin/"
