package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/signet-cni/signet/enforce/policy"
)

// ParsePolicies reads NetworkPolicies from a manifest: YAML documents or JSON,
// single objects or lists of them; other kinds are passed over. A policy
// without a namespace is in the given one. Problems are those that the agents
// would report as Events.
func ParsePolicies(manifest []byte, namespace string) ([]policy.Policy, []Problem, error) {
	var policies []policy.Policy
	var problems []Problem
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		var list struct {
			metav1.TypeMeta `json:",inline"`
			netv1.NetworkPolicy
			Items []netv1.NetworkPolicy `json:"items"`
		}
		err := documents.Decode(&list)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the manifest: %w", err)
		}
		items := list.Items
		if list.Kind == "NetworkPolicy" {
			list.NetworkPolicy.TypeMeta = list.TypeMeta
			items = []netv1.NetworkPolicy{list.NetworkPolicy}
		}
		for n := range items {
			if kind := items[n].Kind; kind != "" && kind != "NetworkPolicy" {
				continue
			}
			if items[n].Namespace == "" {
				items[n].Namespace = namespace
			}
			parsed, found := parsePolicy(&items[n])
			policies, problems = append(policies, parsed), append(problems, found...)
		}
	}
	if len(policies) == 0 {
		return nil, nil, errors.New("the manifest has no NetworkPolicy")
	}
	return policies, problems, nil
}
