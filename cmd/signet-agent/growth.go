package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// growth warns of namespaces that come close to having more identities than
// limit, or have passed it. The messages change when a threshold is passed, not
// with every identity.
func growth(sets map[identity.ID]identity.Set, limit int) []kube.Problem {
	if limit == 0 {
		return nil
	}
	byNamespace := map[string][]identity.Set{}
	for _, set := range sets {
		byNamespace[set.Namespace] = append(byNamespace[set.Namespace], set)
	}
	var problems []kube.Problem
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		own := byNamespace[namespace]
		if len(own)*5 < limit*4 {
			continue
		}
		message := fmt.Sprintf("its pods have at least %d of at most %d identities", (limit*4+4)/5, limit)
		if len(own) > limit {
			message = fmt.Sprintf("its pods have more than %d identities", limit)
		}
		problems = append(problems, kube.Problem{Kind: "Namespace", Name: namespace, Message: message + "; " + advice(own)})
	}
	return problems
}

// advice names the label that splits the sets most.
func advice(sets []identity.Set) string {
	if keys := identity.Split(sets); len(keys) > 0 && keys[0].Spared > 0 {
		return fmt.Sprintf("label %s splits them most: if it says nothing about what the pods are, add it to ignoreLabels"+
			" in the ConfigMap signet-config (\"signet identity top\" shows more)", keys[0].Key)
	}
	return "\"signet identity top\" shows which labels split them"
}

// largest is how many identities the namespace has that has most.
func largest(sets map[identity.ID]identity.Set) int {
	counts, most := map[string]int{}, 0
	for _, set := range sets {
		counts[set.Namespace]++
		most = max(most, counts[set.Namespace])
	}
	return most
}
