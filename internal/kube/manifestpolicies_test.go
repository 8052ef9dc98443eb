package kube

import (
	"strings"
	"testing"
)

func TestParsePolicies(t *testing.T) {
	policies, problems, err := ParsePolicies([]byte(`
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one}
spec: {podSelector: {}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: two, namespace: hall}, spec: {podSelector: {matchLabels: {"?": x}}}}
`), "shop")
	if err != nil || len(policies) != 2 || len(problems) != 1 {
		t.Fatalf("%+v, %v, %v", policies, problems, err)
	}
	if policies[0].Namespace != "shop" || policies[1].Namespace != "hall" || policies[1].Name != "two" {
		t.Errorf("%+v", policies)
	}
	for _, bad := range []string{"", "kind: Pod", "{", "kind: NetworkPolicy\nspec: 7"} {
		if got, _, err := ParsePolicies([]byte(bad), "shop"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}
