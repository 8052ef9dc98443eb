#!/bin/bash
# Build the images that Kubernetes itself runs, as one archive: build-cluster-images.sh ROOTFS KUBERNETES TOOLS OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rootfs=$1 kubernetes=$2 tools=$3 out=$4
work=$out/work
debian=$work/debian
mkdir -p "$debian" "$work"/{pause,etcd,coredns,proxy}/
tar -C "$debian" -xf "$rootfs/rootfs.tar"

list=$work/list
image() { printf '%s\n' "$*" >>"$list"; }

for command in kube-apiserver kube-controller-manager kube-scheduler; do
	install -D -t "$work/$command/usr/local/bin" "$kubernetes/$command"
	image "registry.k8s.io/$command:$KUBERNETES_VERSION" "$work/$command" "/usr/local/bin/$command"
done

install -D -t "$work/etcd/usr/local/bin" "$tools/etcd"
image "registry.k8s.io/etcd:$ETCD_TAG" "$work/etcd" /usr/local/bin/etcd

install -t "$work/coredns" "$tools/coredns"
image "registry.k8s.io/coredns/coredns:$COREDNS_TAG" "$work/coredns" /coredns

CGO_ENABLED=0 go build -C "$REPO" -trimpath -ldflags "-s -w" -o "$work/pause/pause" ./tests/kind/pause
image "$PAUSE_IMAGE" "$work/pause" /pause

# kube-proxy calls iptables (which finds its matches and targets in a directory of plugins), nft and conntrack.
plugins=$(chroot "$debian" sh -c 'echo /usr/lib/*/xtables')
"$KIND_DIR/copy-closure.sh" "$debian" "$work/proxy" \
	/usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack "$plugins"
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
	ln -s xtables-nft-multi "$work/proxy/usr/sbin/$name"
done
mkdir -p "$work"/proxy/{run,tmp}
install -D -t "$work/proxy/usr/local/bin" "$kubernetes/kube-proxy"
image "registry.k8s.io/kube-proxy:$KUBERNETES_VERSION" "$work/proxy" /usr/local/bin/kube-proxy

TMPDIR=$out go run -C "$REPO" ./tests/kind/mkimage "$out/images.tar" <"$list"
rm -rf "$work"
