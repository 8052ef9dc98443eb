// Package overlay is the encrypted tunnel between nodes: the plan (which
// peers, routes and MTU a node needs; pure), the WireGuard device that carries
// it, in the kernel or in a process of its own, and the node's key.
//
// It imports neither identities nor policies.
package overlay
