// Package metrics is what an agent tells Prometheus. docs/metrics.md lists
// every metric; a test compares the two.
//
// What others count is read when Prometheus asks (Source); what only happens
// once is counted here. No label has more than a bounded number of values:
// namespaces and policies beyond the bound are counted together as "other".
package metrics

// Bounds of label values.
const (
	maxNamespaces = 200
	maxPolicies   = 1000
	other         = "other"
)
