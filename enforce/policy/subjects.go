package policy

import (
	"maps"

	"github.com/signet-cni/signet/identity"
)

// subject is what the policies make of one identity.
type subject struct {
	set    identity.Set
	class  *class
	groups [2]*group // by Direction
	entry  Entry
}

// subjectParts is how many parts a table of subjects has.
const subjectParts = 256

// subjects is what is known of every identity. It is copied where it changes,
// in parts, so that who reads one needs no lock and sees no change.
type subjects [subjectParts]map[identity.ID]subject

func (s *subjects) get(id identity.ID) (subject, bool) {
	found, ok := s[id%subjectParts][id]
	return found, ok
}

// all gives every identity, in no order.
func (s *subjects) all(yield func(identity.ID, subject) bool) {
	for _, part := range s {
		for id, found := range part {
			if !yield(id, found) {
				return
			}
		}
	}
}

// subjectsEdit is a change of subjects in progress; what it began with stays.
type subjectsEdit struct {
	subjects
	copied [subjectParts]bool
}

func (s *subjects) edit() *subjectsEdit { return &subjectsEdit{subjects: *s} }

func (e *subjectsEdit) set(id identity.ID, s subject) { e.own(id)[id] = s }

func (e *subjectsEdit) remove(id identity.ID) { delete(e.own(id), id) }

// own gives the part of an identity, to write to.
func (e *subjectsEdit) own(id identity.ID) map[identity.ID]subject {
	n := id % subjectParts
	if !e.copied[n] {
		e.copied[n] = true
		if e.subjects[n] = maps.Clone(e.subjects[n]); e.subjects[n] == nil {
			e.subjects[n] = map[identity.ID]subject{}
		}
	}
	return e.subjects[n]
}

// space is a namespace with its labels, and the identities there.
type space struct {
	set        identity.Set // of any of them
	identities map[identity.ID]struct{}
}

// spaces finds identities by what selectors look at first. A namespace whose
// labels have changed has a space for each set of labels.
type spaces map[string]*space // by namespaceKey

func (s spaces) add(id identity.ID, set identity.Set) {
	key := namespaceKey(set)
	if s[key] == nil {
		s[key] = &space{set: set, identities: map[identity.ID]struct{}{}}
	}
	s[key].identities[id] = struct{}{}
}

func (s spaces) remove(id identity.ID, set identity.Set) {
	key := namespaceKey(set)
	delete(s[key].identities, id)
	if len(s[key].identities) == 0 {
		delete(s, key)
	}
}
