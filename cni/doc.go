// Package cni is the agent's side of Signet's CNI plugin: it reserves
// addresses, remembers the node's endpoints across restarts, and answers the
// plugin (package plugin, command signet-cni) over a unix socket.
//
// An ADD is made in two phases, so that no packet passes before it may:
//
//  1. The plugin asks for a Lease; the agent reserves an address.
//  2. The plugin makes the interface pair, the host's end down.
//  3. The plugin reports the pair; the agent calls Network.Connect, which
//     attaches the hooks and returns when the pod's identity and policy are in
//     the kernel.
//  4. The plugin sets the host's end up and adds the route to the pod.
//
// Whatever fails, the agent takes all of it back as for a DEL: nothing passes any
// more, the pair goes, then hooks and state, and last the address. Without an agent
// the plugin removes the pair, and the next agent forgets the rest.
package cni
