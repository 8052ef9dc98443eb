#!/bin/bash
# Run a command against an API server of its own, with --apart both in network and mount namespaces of their own, where
# nodes in further namespaces can reach it:
# control.sh [--apart] COMMAND...
. "$(dirname "${BASH_SOURCE[0]}")/binaries.sh"

cd "$REPO" || exit
apart=() listen=127.0.0.1
if [[ $1 == --apart ]]; then
	listen=198.51.100.1 # TEST-NET-2
	# shellcheck disable=SC2016  # expanded by the inner shell
	apart=(unshare --net --mount sh -c 'ip link set lo up && ip address add "$0/32" dev lo && exec "$@"' "$listen")
	shift
fi
mkdir -p build
go build -o build/control ./tests/control
exec "${apart[@]}" build/control -listen $listen -etcd "$tools/etcd" -kube-apiserver "$kubernetes/kube-apiserver" -kubectl "$clients/kubectl" "$@"
