package kube

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// published is an Identity object, parsed and verified.
type published struct {
	id  identity.ID
	set identity.Set
}

// parseIdentity accepts an object only if its number belongs to its labels, so
// that one which was forged or edited by hand stands for nothing.
func parseIdentity(in *api.ReceivedIdentity) (published, []Problem) {
	out, err := identityOf(in)
	if err == nil {
		err = identity.Verify(out.id, out.set)
	}
	if err != nil {
		found := about(api.IdentityKind, in)
		found.add("%v; it stands for nothing", err)
		return published{}, found.problems
	}
	return out, nil
}

func identityOf(in *api.ReceivedIdentity) (published, error) {
	if in.Err != nil {
		return published{}, in.Err
	}
	id, err := identity.Parse(in.Name)
	if err != nil {
		return published{}, err
	}
	return published{id: id, set: identity.Set{
		Namespace:       in.Spec.Namespace,
		NamespaceLabels: in.Spec.NamespaceLabels,
		PodLabels:       in.Spec.PodLabels,
		Dropped:         in.Spec.Dropped,
		Counted:         in.Spec.Counted,
	}}, nil
}

// encodeIdentity is identityOf's inverse.
func encodeIdentity(id identity.ID, set identity.Set) (*unstructured.Unstructured, error) {
	object := api.Identity{Spec: api.IdentitySpec{
		Namespace:       set.Namespace,
		NamespaceLabels: maps.Clone(set.NamespaceLabels),
		PodLabels:       maps.Clone(set.PodLabels),
		Dropped:         set.Dropped,
		Counted:         set.Counted,
	}}
	object.Name = id.String()
	object.SetGroupVersionKind(api.GroupVersion.WithKind(api.IdentityKind))
	return api.Encode(object)
}
