package identity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Operator is how a Requirement compares, as in the API's
// LabelSelectorRequirement.
type Operator string

// The operators that NetworkPolicy selectors know.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// Requirement is one condition on one label key.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string // In and NotIn: at least one; else none
}

// Selector matches labels that meet all requirements; without any it matches
// everything.
type Selector struct {
	Requirements []Requirement
}

// NewSelector makes a selector of the API's matchLabels and matchExpressions,
// all of which must hold. Requirements and values come out sorted and unique.
// It refuses what the API defines as invalid: unknown operators, malformed keys
// and values, values missing or superfluous.
func NewSelector(matchLabels map[string]string, requirements []Requirement) (Selector, error) {
	all := make([]Requirement, 0, len(matchLabels)+len(requirements))
	for key, value := range matchLabels {
		all = append(all, Requirement{Key: key, Operator: In, Values: []string{value}})
	}
	selector := Selector{Requirements: append(all, requirements...)}.normal()
	var errs []error
	for _, requirement := range selector.Requirements {
		errs = append(errs, requirement.check())
	}
	if err := errors.Join(errs...); err != nil {
		return Selector{}, fmt.Errorf("selector: %w", err)
	}
	return selector, nil
}

// Unparsable stands for a selector that NewSelector refused. Whether it matches
// is never clear: as a peer it matches nothing, as a policy's subject it
// isolates every pod of the namespace.
func Unparsable() Selector {
	return Selector{Requirements: []Requirement{{}}}
}

// MatchesAll reports whether the selector has no requirements.
func (s Selector) MatchesAll() bool { return len(s.Requirements) == 0 }

// Key gives a string that is equal for selectors with the same requirements, in
// whatever order, and different for all others.
func (s Selector) Key() string {
	var out []byte
	for _, requirement := range s.normal().Requirements {
		out = strconv.AppendQuote(out, requirement.Key)
		out = strconv.AppendQuote(out, string(requirement.Operator))
		for _, value := range requirement.Values {
			out = strconv.AppendQuote(append(out, ','), value)
		}
		out = append(out, ';')
	}
	return string(out)
}

// String gives the selector as kubectl writes one, for people.
func (s Selector) String() string {
	if s.MatchesAll() {
		return "<all>"
	}
	parts := make([]string, 0, len(s.Requirements))
	for _, r := range s.Requirements {
		values := strings.Join(r.Values, ",")
		switch {
		case r.Operator == In && len(r.Values) == 1:
			parts = append(parts, r.Key+"="+values)
		case r.Operator == In:
			parts = append(parts, r.Key+" in ("+values+")")
		case r.Operator == NotIn:
			parts = append(parts, r.Key+" notin ("+values+")")
		case r.Operator == Exists:
			parts = append(parts, r.Key)
		case r.Operator == DoesNotExist:
			parts = append(parts, "!"+r.Key)
		default:
			parts = append(parts, "<unparsable>")
		}
	}
	return strings.Join(parts, ",")
}

// normal sorts and deduplicates requirements and their values, in a copy.
func (s Selector) normal() Selector {
	all := make([]Requirement, len(s.Requirements))
	for n, requirement := range s.Requirements {
		requirement.Values = sortedUnique(requirement.Values)
		all[n] = requirement
	}
	slices.SortFunc(all, compareRequirements)
	all = slices.CompactFunc(all, func(a, b Requirement) bool { return compareRequirements(a, b) == 0 })
	return Selector{Requirements: all}
}

func compareRequirements(a, b Requirement) int {
	return cmp.Or(
		cmp.Compare(a.Key, b.Key),
		cmp.Compare(a.Operator, b.Operator),
		slices.Compare(a.Values, b.Values),
	)
}

func (r Requirement) check() error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	switch r.Operator {
	case In, NotIn:
		if len(r.Values) == 0 {
			return fmt.Errorf("label key %q: operator %s without values", r.Key, r.Operator)
		}
	case Exists, DoesNotExist:
		if len(r.Values) > 0 {
			return fmt.Errorf("label key %q: operator %s with values", r.Key, r.Operator)
		}
	default:
		return fmt.Errorf("label key %q: unknown operator %q", r.Key, r.Operator)
	}
	for _, value := range r.Values {
		if err := checkValue(value); err != nil {
			return fmt.Errorf("label key %q: %w", r.Key, err)
		}
	}
	return nil
}
