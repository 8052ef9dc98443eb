#!/bin/bash
# Print where in the cache a kernel of Debian 12 lies, after fetching the newest of its series if there is none:
# kernel.sh SERIES SUITE
# It reads package lists of its own; the machine's are left alone. To get a newer kernel, remove the old one.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

series=$1 suite=$2 cache=$SIGNET_CACHE/vm

newest() {
	find "$cache" -maxdepth 1 -name "linux-$series.*-*" ! -name '*.tmp' -type d | sort -V | tail -n 1
}

unpack() { # PACKAGE=VERSION OUT
	cd "$2"
	apt-get download "$1"
	dpkg-deb -x ./*.deb .
	rm ./*.deb
	depmod -b . "$(ls lib/modules)"
}

mkdir -p "$cache"
found=$(newest)
if [[ -z $found ]]; then
	mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' | grep -m 1 '/debian/$') ||
		die "this machine's package sources name no Debian mirror"
	private=$(mktemp -d)
	trap 'rm -rf "$private"' EXIT
	mkdir -p "$private"/{lists,cache/archives}/partial
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$private/sources.list"
	cat >"$private/apt.conf" <<-CONF
		Dir::Etc::SourceList "$private/sources.list";
		Dir::Etc::SourceParts "-";
		Dir::State::Lists "$private/lists";
		Dir::Cache "$private/cache";
		APT::Sandbox::User "root";
	CONF
	export APT_CONFIG=$private/apt.conf
	step "fetching the package list of $suite" apt-get update
	read -r package version < <(apt-cache show linux-image-cloud-amd64 |
		sed -nE "s/^Depends: (linux-image-$series\.\S+) \(= (\S+)\).*/\1 \2/p" | sort -V | tail -n 1) ||
		die "$suite has no Linux $series"
	export -f unpack
	"$KIND_DIR/fill.sh" "$cache/linux-$version" "fetching $package $version" \
		bash -ec 'unpack "$@"' unpack "$package=$version"
	found=$(newest)
fi
echo "$found"
