#!/bin/bash
# Unpack the Debian that the nodes run, as a tar: build-rootfs.sh OUT
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
	systemd systemd-sysv containerd runc kmod mount procps                # to be a node
	iproute2 iptables nftables ethtool conntrack socat                    # what Kubernetes calls
	ca-certificates jq curl tcpdump iperf3 iputils-ping busybox-static   # what tests call
)

# debootstrap mounts /proc inside its target: a namespace of its own takes the mounts away whatever happens.
unshare --mount --pid --fork --kill-child debootstrap --variant=minbase \
	--include="$(IFS=,; echo "${packages[*]}")" "$DEBIAN_RELEASE" "$1/root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}

rm -rf "$1"/root/var/cache/apt/* "$1"/root/var/lib/apt/lists/* "$1"/root/usr/share/{doc,man,locale}
tar --one-file-system -C "$1/root" -cf "$1/rootfs.tar" .
rm -rf "$1/root"
