#!/bin/bash
# Add to the nodes of $CLUSTER what the upstream node image lacks: provision.sh
. "$(dirname "${BASH_SOURCE[0]}")/entries.sh"

packages=(tcpdump conntrack ethtool iperf3 nftables)

"$SIGNET_CACHE/bin/kind" load image-archive "$test_images/images.tar" --name "$CLUSTER"
for name in $("$SIGNET_CACHE/bin/kind" get nodes --name "$CLUSTER"); do
	docker cp "$tools/cni/." "$name:/opt/cni/bin/"
	docker exec "$name" sh -c 'mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf'
	# Helpful to look around with, and nothing depends on them.
	docker exec --env DEBIAN_FRONTEND=noninteractive "$name" sh -c \
		"apt-get update && apt-get install --yes --no-install-recommends ${packages[*]}" ||
		say "no ${packages[*]} on $name"
done
