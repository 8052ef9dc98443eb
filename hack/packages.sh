#!/bin/bash
# Install the Debian packages of commands and files that are missing: packages.sh COMMAND|/FILE=PACKAGE...
. "$(dirname "${BASH_SOURCE[0]}")/../tests/kind/lib.sh"

missing=()
for pair; do
	thing=${pair%%=*}
	if [[ $thing == /* ]]; then test -e "$thing"; else command -v "$thing" >/dev/null; fi ||
		missing+=("${pair#*=}")
done
((${#missing[@]})) || exit 0

command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
((EUID == 0)) || die "not root; install these first: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
step "fetching package lists" apt-get update
step "installing ${missing[*]}" apt-get install --yes --no-install-recommends "${missing[@]}"
