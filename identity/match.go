package identity

import "slices"

// Match is the answer to whether a selector matches. Unclear means that it
// cannot be told: the selector names a key that was ignored when the set was
// made, or it is malformed. Who asks decides which way is the closed one: a
// peer that may match is not admitted, a subject that may match is isolated.
type Match uint8

// The answers, from least to most.
const (
	No Match = iota
	Unclear
	Yes
)

// Matches reports whether labels meet every requirement.
func (s Selector) Matches(labels map[string]string) bool {
	return s.match(labels, nil) == Yes
}

// MatchPods matches the set's pod labels.
func (s Selector) MatchPods(set Set) Match {
	if len(set.Dropped) == 0 {
		return s.match(set.PodLabels, nil)
	}
	return s.match(set.PodLabels, set.unclear)
}

// MatchNamespace matches the set's namespace labels.
func (s Selector) MatchNamespace(set Set) Match {
	return s.match(set.NamespaceLabels, nil)
}

// match is the least of the requirements' answers. unclear, if not nil, says
// of an absent key that it may be there all the same.
func (s Selector) match(labels map[string]string, unclear func(key string) bool) Match {
	least := Yes
	for _, requirement := range s.Requirements {
		value, present := labels[requirement.Key]
		answer := requirement.holds(value, present)
		if answer != Unclear && !present && unclear != nil && unclear(requirement.Key) {
			answer = Unclear
		}
		if answer == No {
			return No
		}
		least = min(least, answer)
	}
	return least
}

func (r Requirement) holds(value string, present bool) Match {
	switch r.Operator {
	case In:
		return truth(present && slices.Contains(r.Values, value))
	case NotIn:
		return truth(!present || !slices.Contains(r.Values, value))
	case Exists:
		return truth(present)
	case DoesNotExist:
		return truth(!present)
	default:
		return Unclear
	}
}

func truth(holds bool) Match {
	if holds {
		return Yes
	}
	return No
}
