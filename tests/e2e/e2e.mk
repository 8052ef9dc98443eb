# Tests against the kind cluster.
.PHONY: e2e

e2e: cluster test-api ## run the end-to-end tests on the kind cluster, and those against an API server alone
	tests/e2e/e2e.sh
