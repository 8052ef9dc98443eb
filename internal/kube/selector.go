package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/signet-cni/signet/identity"
)

// selector parses an API label selector; without requirements it matches
// everything.
func selector(in *metav1.LabelSelector) (identity.Selector, error) {
	requirements := make([]identity.Requirement, 0, len(in.MatchExpressions))
	for _, expression := range in.MatchExpressions {
		requirements = append(requirements, identity.Requirement{
			Key:      expression.Key,
			Operator: identity.Operator(expression.Operator),
			Values:   expression.Values,
		})
	}
	return identity.NewSelector(in.MatchLabels, requirements)
}

// optionalSelector keeps the difference between absent and empty.
func optionalSelector(in *metav1.LabelSelector) (*identity.Selector, error) {
	if in == nil {
		return nil, nil
	}
	out, err := selector(in)
	if err != nil {
		return nil, err
	}
	return &out, nil
}
