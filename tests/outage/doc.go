// Package outage tests what agents do while the API server is away, for as long
// as it takes: signet-agent, signet-wg, kube-apiserver and etcd are the commands
// themselves, nodes and pods are those of tests/netns/harness. The test has the
// build tag e2e.
package outage
