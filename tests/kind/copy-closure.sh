#!/bin/bash
# Copy programs out of a Debian tree with the libraries that they load: copy-closure.sh ROOT OUT PATH...
# A PATH may be a directory (of plugins), which is copied whole.
set -euo pipefail

root=$1 out=$2
shift 2

put() { # PATH: the file behind the links, under the name asked for
	[[ -e $out$1 ]] && return
	mkdir -p "$out$(dirname "$1")"
	cp -r --dereference "$(chroot "$root" readlink -f "$1" | sed "s|^|$root|")" "$out$1"
}

for path in "$@"; do
	put "$path"
	chroot "$root" find -L "$path" -type f | while read -r file; do
		# The third word of "name => path (address)", or the first of "/lib64/ld-linux… (address)"; ldd fails
		# on what is not a program.
		{ chroot "$root" ldd "$file" 2>/dev/null || true; } |
			awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
	done | sort -u | while read -r library; do put "$library"; done
done
