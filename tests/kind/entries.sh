# Where each thing that is built lies in the cache. A change of its version, of the script that builds it or of what
# it is made from changes its name.
# shellcheck shell=bash disable=SC2034  # read by the scripts that source this file
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

arch=$(uname -m)
modules=$KIND_DIR/modules
rootfs=$(entry rootfs "$arch" "$KIND_DIR/build-rootfs.sh")
kubernetes=$(entry kubernetes "$arch" "$KIND_DIR/build-kubernetes.sh" "$modules"/kubernetes/go.*)
suite=$(entry suite "$arch" "$KIND_DIR/build-suite.sh" "$modules"/kubernetes/go.*)
tools=$(entry tools "$arch" "$KIND_DIR/build-tools.sh" "$modules"/{tools,etcd,coredns}/go.*)
images=$(entry images "$rootfs" "$kubernetes" "$tools" "$KIND_DIR"/{build-images,copy-closure}.sh \
	"$KIND_DIR"/{mkimage,pause}/*.go)
node=$(entry node "$images" "$KIND_DIR"/{build-node,preload}.sh "$KIND_DIR"/node/*)
node_image=signet.test/node:$KUBERNETES_VERSION-${node##*-}
