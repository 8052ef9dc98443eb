// Package harness builds small clusters out of network namespaces: nodes that
// a routed underlay joins, each with a real WireGuard device, the real
// programs attached and the real CNI plugin; pods; and a world outside.
//
// Everything runs in one process, which runs itself again inside namespaces of
// its own (see Main). It needs root and no other program, so that the same
// binary works in a virtual machine without a distribution.
package harness
