#!/bin/bash
# Have a node image, and print its name: the one built here before, the upstream one where its registry answers, or one
# built here: node.sh
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

have() { docker image inspect "$1" >/dev/null 2>&1; }

if ! have "$node_image"; then
	if have "$UPSTREAM_NODE" || timeout "${PULL_TIMEOUT:-120}" docker pull "$UPSTREAM_NODE" >&2; then
		printf '%s\n' "$UPSTREAM_NODE"
		exit
	fi
	say "no container registry answers; building the node image here"
	commands=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubeadm)
	"$KIND_DIR/fill.sh" "$kubernetes" "building Kubernetes $KUBERNETES_VERSION" \
		"$KIND_DIR/build-kubernetes.sh" "${commands[@]/#/cmd/}"
	"$KIND_DIR/fill.sh" "$cluster_images" "building the images of Kubernetes" \
		"$KIND_DIR/build-cluster-images.sh" "$rootfs" "$kubernetes" "$tools"
	# The cache entry only says that the engine was given the image; the engine has lost it.
	rm -rf "$node"
	"$KIND_DIR/fill.sh" "$node" "building the node image" "$KIND_DIR/build-node.sh" "$node_image" \
		"$rootfs" "$kubernetes" "$clients" "$tools" "$cluster_images/images.tar" "$test_images/images.tar"
fi
printf '%s\n' "$node_image"
