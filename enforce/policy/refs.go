package policy

import (
	"cmp"
	"fmt"
)

// Direction is a policy's view of traffic: to its subjects, or from them.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
)

// String gives "ingress" or "egress".
func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// PolicyRef names a policy.
type PolicyRef struct{ Namespace, Name string }

// String gives namespace/name.
func (r PolicyRef) String() string { return r.Namespace + "/" + r.Name }

// RuleRef names a rule of a policy: Index counts from 0 in the policy's list
// for the direction.
type RuleRef struct {
	Policy    PolicyRef
	Direction Direction
	Index     int
}

// String gives namespace/name direction[index].
func (r RuleRef) String() string { return fmt.Sprintf("%s %s[%d]", r.Policy, r.Direction, r.Index) }

func (r PolicyRef) compare(other PolicyRef) int {
	return cmp.Or(cmp.Compare(r.Namespace, other.Namespace), cmp.Compare(r.Name, other.Name))
}

// Problem is a part of a rule that could not be honoured and admits nothing.
// Its policy isolates all the same.
type Problem struct {
	Rule   RuleRef
	Port   bool // a port, else a peer
	Reason string
}
