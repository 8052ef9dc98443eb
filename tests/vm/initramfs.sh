#!/bin/bash
# Pack what a virtual machine needs to run tests: initramfs.sh KERNEL TESTS OUT
# KERNEL is a directory that kernel.sh printed, TESTS one like the repository's with test binaries and their data.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

kernel=$1 tests=$2 out=$3
modules=(
	wireguard veth tun sctp bridge                  # devices and protocols
	sch_ingress cls_bpf                             # clsact
	sch_tbf ifb cls_u32 act_mirred                  # what the bandwidth plugin uses
	nf_tables nft_chain_nat nft_masq nft_nat nft_ct # masquerading, and what a proxy does
	nft_compat xt_MASQUERADE xt_mark xt_conntrack   # iptables
)
older=(nft_objref) # is part of nf_tables from Linux 6.2 on
release=$(ls "$kernel/lib/modules")
root=$(mktemp -d)
chmod 755 "$root"
trap 'rm -rf "$root"' EXIT

for module in "${older[@]}"; do
	if modprobe -d "$kernel" -S "$release" --show-depends "$module" &>/dev/null; then modules+=("$module"); fi
done
modprobe -d "$kernel" -S "$release" --show-depends -a "${modules[@]}" | sed -n 's/^insmod \(\S*\).*/\1/p' | sort -u |
	while read -r file; do
		to=$root${file#"$kernel"}
		mkdir -p "${to%/*}"
		case $file in
		*.xz) xz -dc "$file" >"${to%.xz}" ;;
		*) cp "$file" "$to" ;;
		esac
	done
cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
depmod -b "$root" "$release"
printf '%s\n' "${modules[@]}" >"$root/modules"

mkdir -p "$root/bin"
cp "$(dirname "${BASH_SOURCE[0]}")/init" "$root/init"
cp "$(command -v busybox)" "$root/bin/busybox"
cp -r "$tests" "$root/src"
"$KIND_DIR/copy-closure.sh" / "$root" /usr/sbin/{iptables,tc} "/usr/lib/$(uname -m)-linux-gnu/xtables"

cd "$root"
find . | cpio --quiet -o -H newc >"$out"
