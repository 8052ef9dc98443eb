#!/bin/bash
# Print the directory of a qemu-system-x86_64 that emulates two processors rightly: the machine's own, or one of Debian 12's
# backports from the cache.
# Before 8.1 QEMU kept code that it had translated while another processor changed it. Linux changes its own all the time, and
# died of it now and then ("Oops: int3").
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

unpack_qemu() {
	unpack "$@"
	mkdir bin
	cat >bin/qemu-system-x86_64 <<-'RUN'
		#!/bin/sh
		usr=$(dirname "$0")/../usr
		exec "$usr/bin/qemu-system-x86_64" -L "$usr/share/qemu" -L "$usr/share/seabios" "$@"
	RUN
	chmod +x bin/qemu-system-x86_64
}

qemu=$(command -v qemu-system-x86_64)
version=$("$qemu" --version | sed -nE 's/^QEMU emulator version ([0-9.]+).*/\1/p')
if dpkg --compare-versions "$version" ge 8.1; then
	dirname "$qemu"
	exit
fi
found=$(newest 'qemu-*')
if [[ -z $found ]]; then
	suite=bookworm-backports
	only_suite "$suite"
	version=$(apt-cache show "qemu-system-x86/$suite" | sed -n 's/^Version: //p')
	found=$SIGNET_CACHE/vm/qemu-${version#*:}
	fetch "$found" "fetching QEMU $version" unpack_qemu {qemu-system-{x86,common,data},seabios}"/$suite"
fi
echo "$found/bin"
