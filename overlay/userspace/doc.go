// Package userspace serves WireGuard devices where the kernel has none: a
// persistent TUN device, golang.zx2c4.com/wireguard behind it, and the usual
// UAPI socket. It runs in a process of its own, so that neither restart nor
// crash of the agent touches the tunnel; a restart of this process attaches to
// the same TUN device, whose index, routes and hooks stay.
package userspace
