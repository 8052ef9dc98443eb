#!/bin/bash
# Make a directory of the cache, unless it exists: fill.sh DIR LABEL COMMAND...
# COMMAND gets a temporary directory as its last argument. Readers see the whole entry or none, two builders of one entry
# wait for each other, and what a killed run left behind goes with the next.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=$1 label=$2
shift 2
[[ ! -d $dir ]] || exit 0

mkdir -p "$SIGNET_CACHE"
exec 9>"${dir%-*}.lock"
flock 9
[[ ! -d $dir ]] || exit 0

rm -rf "${dir%-*}"-*.tmp
trap 'rm -rf "$dir.tmp"' EXIT
mkdir "$dir.tmp"
step "$label" "$@" "$dir.tmp" 9>&-
mv "$dir.tmp" "$dir"
