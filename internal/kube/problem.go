package kube

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Problem says why an object, or a part of it, is not used. Message tells what
// was wrong and what follows from it.
type Problem struct {
	Kind, Namespace, Name string
	UID                   string
	Reason                string // of a NetworkPolicy: one of the Reason constants
	Message               string
}

// What of a NetworkPolicy is not used, in a word.
const (
	ReasonSelector   = "selector"    // its podSelector
	ReasonPolicyType = "policy-type" // one of its types
	ReasonPeer       = "peer"        // a peer of a rule
	ReasonPort       = "port"        // a port of a rule
)

// String gives the object and the message on one line.
func (p Problem) String() string {
	if p.Namespace == "" {
		return fmt.Sprintf("%s %s: %s", p.Kind, p.Name, p.Message)
	}
	return fmt.Sprintf("%s %s/%s: %s", p.Kind, p.Namespace, p.Name, p.Message)
}

// findings collects the problems of one object while it is parsed.
type findings struct {
	subject  Problem // without a message
	problems []Problem
}

func about(kind string, object metav1.Object) *findings {
	return &findings{subject: Problem{
		Kind:      kind,
		Namespace: object.GetNamespace(),
		Name:      object.GetName(),
		UID:       string(object.GetUID()),
	}}
}

func (f *findings) add(format string, args ...any) { f.because("", format, args...) }

// because is add with a Reason.
func (f *findings) because(reason, format string, args ...any) {
	problem := f.subject
	problem.Reason = reason
	problem.Message = fmt.Sprintf(format, args...)
	f.problems = append(f.problems, problem)
}

// WithUIDs fills in the UIDs of the policies, tunnels and namespaces that problems found
// elsewhere are about: tools show an Event only with the object of its UID.
func (w *Watcher) WithUIDs(problems []Problem) []Problem {
	for n := range problems {
		p := &problems[n]
		if p.UID != "" {
			continue
		}
		switch p.Kind {
		case "NetworkPolicy":
			p.UID = uidIn(w.policies, p)
		case "Tunnel":
			p.UID = uidIn(w.tunnels, p)
		case "Namespace":
			p.UID = uidIn(w.namespaces, p)
		}
	}
	return problems
}

func uidIn[T any](c collection[T], p *Problem) string {
	if it, ok := c.get(p.Namespace, p.Name); ok {
		return string(it.UID)
	}
	return ""
}
