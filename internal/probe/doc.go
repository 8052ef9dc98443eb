// Package probe is the two ends of a connection that is only tried, and the
// look at what passes a node's devices meanwhile. "signet connectivity test"
// runs them in pods of its own and in the agents.
//
// A question is one line, or one datagram, of at most maxLine bytes. The answer
// is one too: the server's name, the address that it was asked from, and the
// question.
package probe

// maxLine bounds a question, in bytes.
const maxLine = 512
