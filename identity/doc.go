// Package identity turns labels into the numeric identity that every packet
// carries, and back: the set of labels that counts, the number derived from
// it, the registry that publishes both, and the selectors that policies match
// sets with.
//
// It imports nothing of the rest of Signet and nothing of Kubernetes.
package identity
