# Tests against the kind cluster.
.PHONY: e2e

e2e: cluster ## run the end-to-end tests on the kind cluster
	tests/e2e/e2e.sh
