#!/bin/bash
# Build the node image: build-node.sh IMAGE ROOTFS KUBERNETES CLIENTS TOOLS ARCHIVE... OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

image=$1 rootfs=$2 kubernetes=$3 clients=$4 tools=$5 out=${!#}
archives=("${@:6:$#-6}")
root=$out/root
mkdir "$root"
tar -C "$root" -xf "$rootfs/rootfs.tar"

install -t "$root/usr/bin" "$kubernetes"/{kubelet,kubeadm} "$clients/kubectl"
install -D -t "$root/opt/cni/bin" "$tools"/cni/*
install -D -t "$root/usr/local/bin" "$KIND_DIR/node/entrypoint"
install -D -t "$root/kind/bin" "$KIND_DIR"/node/{serve-dns-at-gateway,kubelet-cgroups}
install -D -m 0644 -t "$root/kind/manifests" "$KIND_DIR/node/default-storage.yaml"
install -d "$root"/etc/{kubernetes/manifests,containerd,cni/net.d}
printf '%s\n' "$KUBERNETES_VERSION" >"$root/kind/version"
sed "s|@PAUSE_IMAGE@|$PAUSE_IMAGE|" "$KIND_DIR/node/config.toml" >"$root/etc/containerd/config.toml"

# Only what a node needs starts at boot.
rm -f "$root"/etc/systemd/system/*.wants/* "$root"/lib/systemd/system/{multi-user,basic,local-fs}.target.wants/* \
	"$root"/lib/systemd/system/sockets.target.wants/*udev*
install -m 0644 -t "$root/etc/systemd/system" "$KIND_DIR"/node/{kubelet,containerd}.service
chroot "$root" systemctl enable kubelet.service containerd.service
chroot "$root" systemctl mask systemd-binfmt.service systemd-udevd.service
echo "ReadKMsg=no" >>"$root/etc/systemd/journald.conf"

# The namespaces take the node's containerd and the mounts away when this ends, however it ends.
unshare --mount --pid --fork --kill-child "$KIND_DIR/preload.sh" "$root" "${archives[@]}"

id=$(tar --one-file-system -C "$root" -c . | docker import -)
trap 'docker image rm "$id" >/dev/null 2>&1 || true' EXIT
rm -rf "$root"
DOCKER_BUILDKIT=0 docker build --build-arg "ROOT=$id" --tag "$image" - <"$KIND_DIR/node/Dockerfile"
trap - EXIT
