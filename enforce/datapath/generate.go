package datapath

// The pinned compiler is clang 14 (Debian 12); make generate installs it, and
// make lint fails where the committed objects differ from its output.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -target bpfel -go-package datapath -type addr -type endpoint -type location_kind -type wire_limits -type side -type event -type reason -type endpoint_flags -type endpoint_limits -type side_flags -type flow_flags -type flow_path -type idle_seconds -type mark -type hook -type verdict -type attestation bpf ../bpf/datapath.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu
