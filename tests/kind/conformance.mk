# The upstream suite's cases of NetworkPolicy.
.PHONY: conformance

conformance: cluster ## run the upstream NetworkPolicy cases (45 in Kubernetes 1.34) against the cluster
	tests/kind/conformance.sh
