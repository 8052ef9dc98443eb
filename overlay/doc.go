// Package overlay is the encrypted tunnel between nodes: its vocabulary (a
// node, a peer, a location, a route) and the address format of the packets
// inside it.
//
// The subpackages are layers over it. plan computes what one node needs (pure);
// keys holds the node's private key; device makes the WireGuard device match a
// plan, in the kernel or through userspace, the process that serves the device
// where the kernel has no WireGuard; wire translates whole packets, as the
// model that the kernel programs are compared with.
//
// It imports neither identities nor policies.
package overlay
