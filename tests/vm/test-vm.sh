#!/bin/bash
# Run the privileged tests on each kernel in a virtual machine, or tests/outage: test-vm.sh [outage]
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernels=( # series, Debian suite, the hooks that programs are attached with, the netkit tests that may be skipped
	"6.12 bookworm-backports tcx"
	"6.1 bookworm clsact TestNetkit(Restart)?"
)
case ${1-} in
"")
	suites=(tests/netns:1 enforce/datapath:6 overlay/device:20) # and how many of their tests are run in one go
	# They are about the userspace device, which a kernel with WireGuard does not get.
	may_skip='device: (TestServerRestart/.*|TestSocketIsPrivate|TestWatch|TestStandby)|netns: TestUserspace(Restart|Replacement|ReplacementOfAListener)'
	tags=vm machine=() environment="TIMEOUT=5m LANES=3"
	;;
outage)
	suites=(tests/outage:1) may_skip=
	tags=e2e machine=(-memory 4096 -limit 20m -timeout 40m) environment="TIMEOUT=40m LANES=1 SIGNET_OUTAGE_BIN=/src/bin"
	;;
*) die "unknown tests: $1" ;;
esac

[[ $(uname -m) == x86_64 ]] || die "test-vm is for x86_64 only"
((EUID == 0)) || die "test-vm needs root"
"$REPO/hack/packages.sh" qemu-system-x86_64=qemu-system-x86 /bin/busybox=busybox-static cpio=cpio depmod=kmod xz=xz-utils \
	/usr/sbin/iptables=iptables /usr/sbin/tc=iproute2
PATH=$("$VM_DIR/qemu.sh"):$PATH

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tests"
cd "$REPO"
git ls-files deploy/signet.yaml '*/testdata/*' | xargs cp --parents -t "$scratch/tests"
if [[ ${1-} == outage ]]; then "$REPO/tests/outage/gather.sh" "$scratch/tests/bin"; fi
for suite in "${suites[@]}"; do
	package=${suite%:*}
	step "building the tests of $package" \
		env CGO_ENABLED=0 go test -trimpath -tags "$tags" -c -o "$scratch/tests/$package/${package##*/}.test" "./$package"
done
step "building the boot command" go build -o "$scratch/boot" ./tests/vm/boot

# boot SERIES ARGUMENT... runs a kernel.
boot() {
	local kernel=$scratch/$1 status=0 guest
	shift
	"$scratch/boot" -kernel "$kernel/vmlinuz" -initrd "$kernel/initramfs" -tests "$scratch/tests" "$@" &
	guest=$!
	trap 'kill "$guest"; wait "$guest"; exit 130' INT TERM
	wait "$guest" || status=$?
	trap - INT TERM
	return $status
}

accel=
failed=()
for kernel in "${kernels[@]}"; do
	read -r series suite hooks lacks <<<"$kernel"
	dir=$("$VM_DIR/kernel.sh" "$series" "$suite")
	mkdir "$scratch/$series"
	ln -s "$dir"/boot/vmlinuz-* "$scratch/$series/vmlinuz"
	step "packing the machine for Linux $series" "$VM_DIR/initramfs.sh" "$dir" "$scratch/tests" "$scratch/$series/initramfs"
	if [[ -z $accel ]]; then
		# KVM counts if a kernel gets through it: nested, it may lack what one needs.
		accel=kvm
		[[ -w /dev/kvm ]] && boot "$series" -accel kvm -append PROBE=1 -timeout 10s &>"$SIGNET_CACHE/log/vm-kvm.log" || accel=tcg
	fi
	log=$SIGNET_CACHE/log/vm${1+-$1}-$series.log
	rm -f "$log"
	say "Linux $series under QEMU with $accel; console in $log"
	boot "$series" -accel "$accel" -append "$environment SIGNET_WANT_WIREGUARD=kernel SIGNET_WANT_HOOKS=$hooks SIGNET_WANT_SCTP=sockets" \
		-console "$log" "${machine[@]}" -may-skip "$may_skip${lacks:+|netns: ($lacks)}" "${suites[@]}" || failed+=("$series")
	rm -r "${scratch:?}/$series"
done
((${#failed[@]} == 0)) || die "failed on Linux ${failed[*]}"
say "all passed"
