#!/bin/bash
# Build the images that tests run in pods, as one archive: build-test-images.sh ROOTFS CLIENTS OUT
# It is one file system under two names: agnhost, as the upstream suite calls it, and the toolbox of our own tests.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rootfs=$1 clients=$2 out=$3
debian=$out/debian
toolbox=$out/toolbox
mkdir -p "$debian" "$toolbox"/{bin,etc,tmp}
chmod 1777 "$toolbox/tmp"
tar -C "$debian" -xf "$rootfs/rootfs.tar"

"$KIND_DIR/copy-closure.sh" "$debian" "$toolbox" /bin/busybox /bin/bash /bin/ip /usr/bin/tcpdump \
	/usr/bin/curl /usr/bin/iperf3 /usr/bin/ping /etc/services /etc/protocols /etc/ssl/certs/ca-certificates.crt
# A shell that prefers the real ip to the one of busybox, and every command of busybox that is not there as such.
ln -s bash "$toolbox/bin/sh"
chroot "$toolbox" /bin/busybox --install -s /bin
install -t "$toolbox" "$clients/agnhost"

TMPDIR=$out go run -C "$REPO" ./tests/kind/mkimage "$out/images.tar" <<LIST
$AGNHOST_IMAGE $toolbox /agnhost
$TOOLBOX_IMAGE $toolbox /agnhost pause
LIST
rm -rf "$debian" "$toolbox"
