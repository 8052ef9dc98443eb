package identity

import (
	"cmp"
	"maps"
	"slices"
)

// Splitter is a pod label key, and how it splits identities.
type Splitter struct {
	Key        string `json:"key"`
	Values     int    `json:"values"`     // different ones
	Identities int    `json:"identities"` // that carry the key
	// Spared is how many identities fewer there would be if the key were
	// ignored.
	Spared int `json:"spared"`
	// Namespace is where most of those are.
	Namespace string `json:"namespace,omitempty"`
}

// Split tells what each pod label key contributes to the number of sets, the
// one that splits most first. Keys that split nothing are among them.
func Split(sets []Set) []Splitter {
	byKey := map[string][]Set{}
	for _, set := range sets {
		for key := range set.PodLabels {
			byKey[key] = append(byKey[key], set)
		}
	}
	total := distinct(sets, "")
	out := make([]Splitter, 0, len(byKey))
	for key, carriers := range byKey {
		s := Splitter{Key: key, Identities: len(carriers)}
		values := map[string]bool{}
		for _, set := range carriers {
			values[set.PodLabels[key]] = true
		}
		s.Values = len(values)
		s.Spared, s.Namespace = spared(total, distinct(sets, key))
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Splitter) int {
		return cmp.Or(cmp.Compare(b.Spared, a.Spared), cmp.Compare(b.Values, a.Values), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// distinct counts, by namespace, the sets that still differ without a key.
func distinct(sets []Set, without string) map[string]int {
	seen := map[Digest]bool{}
	counts := map[string]int{}
	for _, set := range sets {
		if _, carries := set.PodLabels[without]; carries {
			set.PodLabels = maps.Clone(set.PodLabels)
			delete(set.PodLabels, without)
		}
		if digest := set.Digest(); !seen[digest] {
			seen[digest] = true
			counts[set.Namespace]++
		}
	}
	return counts
}

func spared(with, without map[string]int) (sum int, most string) {
	largest := 0
	for _, namespace := range slices.Sorted(maps.Keys(with)) {
		fewer := with[namespace] - without[namespace]
		sum += fewer
		if fewer > largest {
			largest, most = fewer, namespace
		}
	}
	return sum, most
}
