#!/bin/bash
# Make sure that a container engine answers, and start dockerd if none does: engine.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

log=/var/log/signet-dockerd.log
runtime=signet-runc

# Capability 24 is CAP_SYS_RESOURCE. Without it in the bounding set, no privileged container starts.
bounding=0x$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
lacking=$(((bounding >> 24 & 1) == 0))

if docker info >/dev/null 2>&1; then
	default=$(docker info --format '{{.DefaultRuntime}}')
	((!lacking)) || [[ $default == "$runtime" ]] ||
		say "warning: this root lacks CAP_SYS_RESOURCE; the running engine may be unable to start nodes"
	exit 0
fi

((EUID == 0)) || die "no container engine answers, and starting one needs root"
options=()
if ((lacking)); then
	install -D -m 0755 "$KIND_DIR/runc-without-sys-resource" "$SIGNET_CACHE/bin/$runtime"
	options=(--add-runtime "$runtime=$SIGNET_CACHE/bin/$runtime" --default-runtime "$runtime")
fi

# A session of its own and no inherited descriptors: the engine outlives the make that started it.
setsid nohup dockerd "${options[@]}" >>"$log" 2>&1 </dev/null &
pid=$!
for ((tries = 0; tries < 60; tries++)); do
	if docker info >/dev/null 2>&1; then
		say "started dockerd (process $pid, log $log)"
		exit 0
	fi
	kill -0 "$pid" 2>/dev/null || break
	sleep 1
done
tail -n 20 "$log" >&2
die "dockerd does not answer; its log is $log"
