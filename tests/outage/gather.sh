#!/bin/bash
# Gather the commands that the test runs in a directory, which is made: gather.sh DIR
. "$(dirname "${BASH_SOURCE[0]}")/../control/binaries.sh"

cd "$REPO" || exit
step "building the commands" make --no-print-directory build
mkdir -p "$1"
cp build/signet-{agent,wg} "$tools/etcd" "$kubernetes/kube-apiserver" "$clients/kubectl" "$1"
