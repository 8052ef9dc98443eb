#!/bin/bash
# Build what the cluster is made of, as far as the cache lacks it, and link the commands into its bin.
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

background=()
trap 'kill "${background[@]}" 2>/dev/null || true' EXIT

# The file system waits for downloads, the compilers for processors: together they take as long as the compilers.
fill "$rootfs" "unpacking Debian $DEBIAN_RELEASE for the nodes" "$KIND_DIR/build-rootfs.sh" &
background+=($!)
fill "$tools" "building kind, etcd, CoreDNS and CNI plugins" "$KIND_DIR/build-tools.sh"
fill "$kubernetes" "building Kubernetes $KUBERNETES_VERSION" "$KIND_DIR/build-kubernetes.sh"
wait "${background[@]}"
background=()

fill "$images" "building the nodes' images" "$KIND_DIR/build-images.sh" "$rootfs" "$kubernetes" "$tools"

docker image inspect "$node_image" >/dev/null 2>&1 || rm -rf "$node"
fill "$node" "building the node image" "$KIND_DIR/build-node.sh" \
	"$node_image" "$rootfs" "$kubernetes" "$tools" "$images"

mkdir -p "$SIGNET_CACHE/bin"
ln -sfn "$tools/kind" "$kubernetes/kubectl" "$SIGNET_CACHE/bin/"
