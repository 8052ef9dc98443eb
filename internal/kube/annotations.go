package kube

import (
	"maps"
	"slices"

	"github.com/signet-cni/signet/enforce/policy"
)

// The annotations that Signet reads, on Namespaces and NetworkPolicies.
const (
	// LogAnnotation has verdicts written to the agents' logs: "denied" or
	// "all" of those in which the policy, or a pod of the namespace, took part.
	LogAnnotation = "signet-cni.io/log"
	// AuditAnnotation, "true" on a Namespace, admits what policies of its pods
	// deny, and tells it.
	AuditAnnotation = "signet-cni.io/audit"
)

// LogMode is which verdicts are logged.
type LogMode uint8

// The modes.
const (
	LogNone LogMode = iota
	LogDenied
	LogAll
)

// Annotations are those of all objects, less the ones that say nothing.
type Annotations struct {
	LogPolicies   map[policy.PolicyRef]LogMode
	LogNamespaces map[string]LogMode
	// Audit are the namespaces in audit mode, sorted.
	Audit []string
}

// annotated is a parsed object and what its annotations say.
type annotated[T any] struct {
	object T
	log    LogMode
	audit  bool
}

// withAnnotations adds the annotations to what parse gives. One that is not
// understood changes nothing, and is a problem.
func withAnnotations[S source, T any](kind string, parse func(S) (T, []Problem)) func(S) (annotated[T], []Problem) {
	return func(from S) (annotated[T], []Problem) {
		object, problems := parse(from)
		out := annotated[T]{object: object}
		found := about(kind, from)
		switch text := from.GetAnnotations()[LogAnnotation]; text {
		case "", "none":
		case "denied":
			out.log = LogDenied
		case "all":
			out.log = LogAll
		default:
			found.add("annotation %s is %q: want denied, all or none; nothing is logged", LogAnnotation, text)
		}
		switch text := from.GetAnnotations()[AuditAnnotation]; {
		case text == "" || text == "false":
		case text == "true" && kind == namespaceKind:
			out.audit = true
		default:
			found.add("annotation %s is %q: want true or false, on a Namespace; policies are enforced", AuditAnnotation, text)
		}
		return out, slices.Concat(problems, found.problems)
	}
}

const namespaceKind = "Namespace"

// Annotations gives those of all Namespaces and NetworkPolicies, and the ones
// of Namespaces that are not understood.
func (w *Watcher) Annotations() (Annotations, []Problem) {
	out := Annotations{LogPolicies: map[policy.PolicyRef]LogMode{}, LogNamespaces: map[string]LogMode{}}
	audit := map[string]bool{}
	var problems []Problem
	for it := range w.policies.all() {
		if it.value.log != LogNone {
			out.LogPolicies[policy.PolicyRef{Namespace: it.Namespace, Name: it.Name}] = it.value.log
		}
	}
	for _, it := range w.namespaces.items() {
		if it.value.log != LogNone {
			out.LogNamespaces[it.Name] = it.value.log
		}
		if it.value.audit {
			audit[it.Name] = true
		}
		problems = append(problems, it.problems...)
	}
	out.Audit = slices.Sorted(maps.Keys(audit))
	return out, problems
}
