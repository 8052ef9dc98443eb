# Where each thing that is built lies in the cache. A change of its version, of the script that builds it or of what
# it is made from changes its name.
# shellcheck shell=bash disable=SC2034  # read by the scripts that source this file
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

arch=$(uname -m)
modules=$KIND_DIR/modules
kubernetes_inputs=("$arch" "$KIND_DIR/build-kubernetes.sh" "$modules"/kubernetes/go.*)
image_inputs=("$KIND_DIR/copy-closure.sh" "$KIND_DIR"/{mkimage/{archive,main},pause/main}.go)

rootfs=$(entry rootfs "$arch" "$KIND_DIR/build-rootfs.sh")
tools=$(entry tools "$arch" "$KIND_DIR/build-tools.sh" "$modules"/{tools,etcd,coredns}/go.*)
kubernetes=$(entry kubernetes "${kubernetes_inputs[@]}")
clients=$(entry clients "${kubernetes_inputs[@]}")
suite=$(entry suite "$arch" "$KIND_DIR/build-suite.sh" "$modules"/kubernetes/go.*)
cluster_images=$(entry cluster-images "$rootfs" "$kubernetes" "$tools" "$KIND_DIR/build-cluster-images.sh" \
	"${image_inputs[@]}")
test_images=$(entry test-images "$rootfs" "$clients" "$KIND_DIR/build-test-images.sh" "${image_inputs[@]}")
node=$(entry node "$clients" "$cluster_images" "$test_images" "$KIND_DIR"/{build-node,preload}.sh "$KIND_DIR"/node/*)
node_image=signet.test/node:$KUBERNETES_VERSION-${node##*-}
