// Package flowmap sums up a stream of flows as a map: workloads, and edges
// between them. It is pure: it reads no clock and asks nobody.
//
// A reader takes a snapshot once and then only what has changed since. What the
// map holds is bounded: edges beyond MaxEdges push out the one unused longest,
// and an edge keeps only so many of its kinds of flow and so many flows.
package flowmap

// Bounds of what a map holds.
const (
	MaxEdges   = 2000
	maxCases   = 24 // kinds of flow of an edge that are told apart
	maxSamples = 8  // latest flows of an edge
)
