# Tests against the kind cluster.
.PHONY: e2e e2e-outage

e2e: cluster test-api ## run the end-to-end tests on the kind cluster, and those against an API server alone
	tests/e2e/e2e.sh

e2e-outage: cluster ## kill agents, and stop the API server for five minutes, under traffic
	SIGNET_E2E_OUTAGE=5m tests/e2e/e2e.sh TestSurvival
