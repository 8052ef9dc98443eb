// Package kube is the only place that talks to the Kubernetes API. It watches
// what a node needs to know, turns the objects into the plain types of the
// other packages, and writes the few objects that a node publishes.
//
// Everything read is hostile input until parsed. What does not parse is
// refused, or narrowed so that it opens nothing, and told as a Problem; the
// rest keeps working. While the API server is away, everything known stays.
//
// The watch set is fixed: the node's own Pods and its own Node, and of the
// cluster Namespaces, NetworkPolicies, Services, EndpointSlices, Identities
// and Tunnels. Never all pods, never all nodes.
package kube
