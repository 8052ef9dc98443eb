# Real agents without an API server, for longer than the tests of every change have.
.PHONY: test-outage test-vm-outage

test-outage: ## stop the API server for five minutes under agents in network namespaces, and cut one off
	tests/outage/outage.sh

test-vm-outage: ## test-outage with kernel WireGuard, on Linux 6.1 and 6.12 under QEMU
	tests/vm/test-vm.sh outage
