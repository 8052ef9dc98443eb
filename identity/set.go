package identity

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// NamespaceNameLabel is the label that the API gives every namespace, with the
// namespace's name. A Set always has it, so that policies can select on it.
const NamespaceNameLabel = "kubernetes.io/metadata.name"

// Set is what an identity stands for: the labels that count. Pods with equal
// sets share an identity. A Set is not modified after it is made.
//
// It says of itself what it leaves out, so that it means the same on every
// node, whatever ignore list that node has: a key that is in neither PodLabels
// nor covered by Dropped is absent from the pod.
type Set struct {
	Namespace       string
	NamespaceLabels map[string]string // NamespaceNameLabel included
	PodLabels       map[string]string // less what Dropped covers
	// Dropped are the globs of the ignore list that took a label out of this
	// set, sorted. They are globs, not keys, so that keys which make pods
	// unique cannot make identities unique.
	Dropped []string
	// Counted are keys which Dropped covers and which count all the same, but
	// which these pods do not have; sorted.
	Counted []string
}

// NewSet makes the set of a pod, without the labels that ignore leaves out.
// Labels of the namespace all count.
func NewSet(namespace string, namespaceLabels, podLabels map[string]string, ignore Ignore) Set {
	set := Set{
		Namespace:       namespace,
		NamespaceLabels: make(map[string]string, len(namespaceLabels)+1),
		PodLabels:       make(map[string]string, len(podLabels)),
	}
	maps.Copy(set.NamespaceLabels, namespaceLabels)
	set.NamespaceLabels[NamespaceNameLabel] = namespace
	for key, value := range podLabels {
		if glob, ignored := ignore.ignoredBy(key); ignored {
			set.Dropped = append(set.Dropped, glob)
			continue
		}
		set.PodLabels[key] = value
	}
	set.Dropped = sortedUnique(set.Dropped)
	for _, key := range ignore.counted {
		if _, present := set.PodLabels[key]; !present && coveredBy(set.Dropped, key) {
			set.Counted = append(set.Counted, key)
		}
	}
	return set
}

// Equal reports whether both have the same canonical form.
func (s Set) Equal(other Set) bool {
	return s.sameFields(other) || bytes.Equal(s.Canonical(), other.Canonical())
}

// sameFields is the quick way to tell that two sets are equal.
func (s Set) sameFields(other Set) bool {
	return s.Namespace == other.Namespace && maps.Equal(s.NamespaceLabels, other.NamespaceLabels) &&
		maps.Equal(s.PodLabels, other.PodLabels) && slices.Equal(s.Dropped, other.Dropped) &&
		slices.Equal(s.Counted, other.Counted)
}

// Validate refuses a set that NewSet cannot have made, such as one that was
// published by hand: no namespace, a name label that is not the namespace's,
// lists out of order, counted keys that nothing covers.
func (s Set) Validate() error {
	if s.Namespace == "" {
		return errors.New("set without a namespace")
	}
	if name := s.NamespaceLabels[NamespaceNameLabel]; name != s.Namespace {
		return fmt.Errorf("set of namespace %q: label %s says %q", s.Namespace, NamespaceNameLabel, name)
	}
	for _, glob := range s.Dropped {
		if err := checkGlob(glob); err != nil {
			return fmt.Errorf("set of namespace %q: dropped glob %q is malformed", s.Namespace, glob)
		}
	}
	for _, list := range [][]string{s.Dropped, s.Counted} {
		if !slices.Equal(list, sortedUnique(list)) {
			return fmt.Errorf("set of namespace %q: list %q is not sorted and unique", s.Namespace, list)
		}
	}
	for _, key := range s.Counted {
		if _, present := s.PodLabels[key]; present || !coveredBy(s.Dropped, key) {
			return fmt.Errorf("set of namespace %q: counted key %q is not among the dropped", s.Namespace, key)
		}
	}
	return nil
}

// unclear reports whether the set leaves open if its pods carry a label with
// this key: it was ignored, and did not count, when the set was made.
func (s Set) unclear(key string) bool {
	if !coveredBy(s.Dropped, key) {
		return false
	}
	_, counted := slices.BinarySearch(s.Counted, key)
	return !counted
}

// Fits reports whether a pod of the set's namespace with these labels can have
// the set, whatever keys are ignored just now.
func (s Set) Fits(namespaceLabels, podLabels map[string]string) bool {
	pair := NewSet(s.Namespace, namespaceLabels, nil, Ignore{})
	if !maps.Equal(pair.NamespaceLabels, s.NamespaceLabels) {
		return false
	}
	for key, value := range s.PodLabels {
		if got, ok := podLabels[key]; !ok || got != value {
			return false
		}
	}
	for key := range podLabels {
		if _, counts := s.PodLabels[key]; !counts && !s.unclear(key) {
			return false
		}
	}
	return true
}
