package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// IdentityStore publishes identities as Identity objects.
type IdentityStore struct{ client *Client }

var _ identity.Store = IdentityStore{}

// IdentityStore gives the store of this cluster.
func (c *Client) IdentityStore() IdentityStore { return IdentityStore{client: c} }

// Create publishes a number. The API server decides who is first: everyone
// after that gets identity.ErrExists.
func (s IdentityStore) Create(ctx context.Context, id identity.ID, set identity.Set) error {
	object, err := encodeIdentity(id, set)
	if err != nil {
		return fmt.Errorf("kube: %w", err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err = s.client.dynamic.Resource(api.Identities).Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("kube: create identity %s: %w", id, identity.ErrExists)
	}
	if err != nil {
		return fmt.Errorf("kube: create identity %s: %w", id, err)
	}
	return nil
}

// Get gives what was published under a number, and whether anything was. An
// object that does not parse holds its number all the same, for a set that no
// pod can have.
func (s IdentityStore) Get(ctx context.Context, id identity.ID) (identity.Set, bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	object, err := s.client.identities.Get().Resource(string(Identities)).Name(id.String()).Do(ctx).Get()
	if apierrors.IsNotFound(err) {
		return identity.Set{}, false, nil
	}
	if err != nil {
		return identity.Set{}, false, fmt.Errorf("kube: get identity %s: %w", id, err)
	}
	received, ok := object.(*api.ReceivedIdentity)
	if !ok {
		return identity.Set{}, false, fmt.Errorf("kube: get identity %s: got a %T", id, object)
	}
	found, err := identityOf(received)
	if err != nil {
		return identity.Set{}, true, nil //nolint:nilerr // the watch reports it as a Problem
	}
	return found.set, true, nil
}
