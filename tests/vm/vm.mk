# The privileged tests on Debian's kernels, which have what the machine's own may lack: kernel WireGuard.
.PHONY: test-vm

test-vm: ## privileged tests on Linux 6.1 and 6.12 under QEMU
	tests/vm/test-vm.sh
