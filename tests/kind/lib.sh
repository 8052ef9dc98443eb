# Progress lines, the build cache and logging, shared by the scripts in this directory.
# shellcheck shell=bash
set -euo pipefail

KIND_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$KIND_DIR/../.." && pwd)
SIGNET_CACHE=${SIGNET_CACHE:-/var/cache/signet}
CLUSTER=${CLUSTER:-signet}
export SIGNET_CACHE CLUSTER REPO

# shellcheck source=versions.sh
. "$KIND_DIR/versions.sh"

say() { printf '==> %s\n' "$*" >&2; }

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# stop PID ends the session that PID leads, in a second at most.
stop() {
	kill -TERM -- "-$1" 2>/dev/null || true
	sleep 1
	kill -KILL -- "-$1" 2>/dev/null || true
	wait "$1" || true
}

# step LABEL COMMAND... runs COMMAND with its output in a log, says every half minute that it still runs, and how
# long it took. If it fails, the end of the log is shown. An interrupt ends COMMAND and all its children: it is the
# leader of a session of its own.
step() {
	local label=$1 log pid began=$SECONDS told=0 status=0
	shift
	mkdir -p "$SIGNET_CACHE/log"
	log=$SIGNET_CACHE/log/$(tr -c 'a-zA-Z0-9.\n' '-' <<<"$label").log
	setsid "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'stop "$pid"; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		if ((SECONDS - began >= told + 30)); then
			told=$((SECONDS - began))
			say "$label ... ${told}s so far"
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM
	if ((status != 0)); then
		tail -n 30 "$log" >&2
		die "$label failed with status $status; the whole log is $log"
	fi
	say "$label ... $((SECONDS - began))s"
}

# entry NAME INPUT... prints the cache directory for these inputs: the contents of those that are files, and the
# others as they are.
entry() {
	local name=$1 input key
	shift
	key=$(for input in "$KIND_DIR/versions.sh" "$@"; do
		if [[ -f $input ]]; then cat "$input"; else printf '%s\n' "$input"; fi
	done | sha256sum | cut -c1-12)
	printf '%s/%s-%s\n' "$SIGNET_CACHE" "$name" "$key"
}

# alone waits until no other run uses $CLUSTER, and keeps others from it until this script and its children have ended.
# Nothing that outlives the script may be started after it.
alone() {
	mkdir -p "$SIGNET_CACHE"
	exec 8>"$SIGNET_CACHE/$CLUSTER.use.lock"
	flock -n 8 && return
	say "another run uses cluster $CLUSTER; waiting for its end"
	flock 8
}
