# Packages of other releases of Debian, for the scripts in this directory.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

# only_suite SUITE has apt know nothing but that one until the script ends, from lists of its own; the machine's are left
# alone.
only_suite() {
	local suite=$1 mirror
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
}

# newest PATTERN prints the newest of the cache's entries of that name.
newest() {
	mkdir -p "$SIGNET_CACHE/vm"
	find "$SIGNET_CACHE/vm" -maxdepth 1 -name "$1" ! -name '*.tmp' -type d | sort -V | tail -n 1
}

# fetch DIR LABEL FUNCTION PACKAGE... makes a new entry of the cache: FUNCTION gets the packages and the directory.
fetch() {
	local dir=$1 label=$2 function=$3
	shift 3
	export -f unpack "${function?}"
	"$KIND_DIR/fill.sh" "$dir" "$label" bash -ec '"$@"' bash "$function" "$@"
}

# unpack PACKAGE... OUT unpacks packages of the suite.
unpack() {
	local package
	cd "${*: -1}"
	apt-get download "${@:1:$#-1}"
	for package in ./*.deb; do dpkg-deb -x "$package" .; done
	rm ./*.deb
}
