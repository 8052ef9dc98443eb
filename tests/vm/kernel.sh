#!/bin/bash
# Print where in the cache a kernel of Debian 12 lies, after fetching the newest of its series if there is none:
# kernel.sh SERIES SUITE
# To get a newer kernel, remove the old one.
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

series=$1 suite=$2

unpack_kernel() {
	unpack "$@"
	depmod -b . "$(ls lib/modules)"
}

found=$(newest "linux-$series.*-*")
if [[ -z $found ]]; then
	only_suite "$suite"
	read -r package version < <(apt-cache show linux-image-cloud-amd64 |
		sed -nE "s/^Depends: (linux-image-$series\.\S+) \(= (\S+)\).*/\1 \2/p" | sort -V | tail -n 1) ||
		die "$suite has no Linux $series"
	found=$SIGNET_CACHE/vm/linux-$version
	fetch "$found" "fetching $package $version" unpack_kernel "$package=$version"
fi
echo "$found"
