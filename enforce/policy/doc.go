// Package policy compiles NetworkPolicies over identities into the tables
// that the kernel programs look up.
//
// The compiler is pure: identities and policies in, a Table out. All numbers
// in a Table (classes, rule sets, port sets) are derived from what they stand
// for, so that the same input gives the same table on every node and after
// every restart, and a row never changes its meaning while it is installed.
package policy
