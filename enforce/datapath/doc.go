// Package datapath puts compiled policy, endpoints, nodes and services into
// the kernel, attaches the programs that use them, and reads back what they
// counted and reported.
//
// Everything is pinned: programs, maps and attachments outlive the agent, and
// a new agent takes over the state that it finds. All methods of Datapath are
// safe for concurrent use. The floor is Linux 6.1; tcx is used from 6.6 on.
package datapath
