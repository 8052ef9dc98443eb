#!/bin/bash
# Install the Debian packages that are missing: packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A provides=(
	[containerd]=containerd [runc]=runc [debootstrap]=debootstrap [iptables]=iptables
	[flock]=util-linux [tar]=tar [ip]=iproute2
)

missing=()
for command in "${!provides[@]}"; do
	command -v "$command" >/dev/null || missing+=("${provides[$command]}")
done
# A docker client alone does not help where no engine answers.
if ! docker info >/dev/null 2>&1 && ! command -v dockerd >/dev/null; then
	missing+=(docker.io)
fi
((${#missing[@]})) || exit 0

command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
((EUID == 0)) || die "not root; install these first: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
step "fetching package lists" apt-get update
step "installing ${missing[*]}" apt-get install --yes --no-install-recommends "${missing[@]}"
