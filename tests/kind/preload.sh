#!/bin/bash
# Import image archives into the containerd of a node's file system: preload.sh ROOT ARCHIVE...
# Runs in a mount and a process namespace of its own.
set -euo pipefail

root=$1
shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"

chroot "$root" containerd &
daemon=$!
for ((tries = 0; tries < 50; tries++)); do
	if chroot "$root" ctr version >/dev/null 2>&1; then break; fi
	sleep 0.2
done
for archive; do
	chroot "$root" ctr --namespace k8s.io images import --no-unpack - <"$archive"
done
kill "$daemon"
wait "$daemon" || true
