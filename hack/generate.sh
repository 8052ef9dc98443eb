#!/bin/bash
# Compile the eBPF programs and write their Go types, with the pinned compiler: generate.sh TREE
. "$(dirname "${BASH_SOURCE[0]}")/../tests/kind/lib.sh"

"$REPO/hack/packages.sh" clang-14=clang-14 llvm-strip-14=llvm-14 /usr/include/bpf/bpf_helpers.h=libbpf-dev \
	/usr/include/linux/bpf.h=linux-libc-dev
cd "$1"
step "generating from the eBPF programs" go generate ./enforce/datapath
