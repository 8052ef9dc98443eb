#!/bin/bash
# Print the directory with Debian's prometheus and promtool, which are unpacked into the cache: the package itself would
# start a server on this machine.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

unpack() { # OUT
	cd "$1"
	apt-get download prometheus
	dpkg-deb -x ./*.deb .
	rm ./*.deb
}

version=$(apt-cache policy prometheus | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
if [[ -z $version ]]; then
	step "fetching package lists" apt-get update
	version=$(apt-cache policy prometheus | awk '$1 == "Candidate:" { print $2 }')
fi
dir=$SIGNET_CACHE/prometheus-${version//[^0-9a-zA-Z.]/_}
export -f unpack
"$KIND_DIR/fill.sh" "$dir" "fetching prometheus $version" bash -ec 'unpack "$@"' unpack
echo "$dir/usr/bin"
