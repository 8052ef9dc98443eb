//go:build e2e

package kube

import (
	"context"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// elect writes the Lease with a client's token.
func elect(t *testing.T, client *Client, holder string) error {
	t.Helper()
	leases := client.core.CoordinationV1().Leases(leaseNamespace)
	lease, err := leases.Get(t.Context(), leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: leaseName}}
		lease.Spec.HolderIdentity = &holder
		_, err = leases.Create(t.Context(), lease, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		t.Fatal(err)
	}
	lease.Spec.HolderIdentity = &holder
	_, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{})
	return err
}

func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("%s: %v, want it forbidden", what, err)
	}
}

// An agent elects its own node alone, and only the elected one deletes.
func TestRealElection(t *testing.T) {
	c := openCluster(t)
	a, b := c.agent(realA), c.agent(realB)
	leases := c.admin.core.CoordinationV1().Leases(leaseNamespace)
	remove := func() { _ = leases.Delete(context.Background(), leaseName, metav1.DeleteOptions{}) }
	remove()
	t.Cleanup(remove)
	set := concertSet()
	id := identity.Number(set, 0)
	drop := func(client *Client) error {
		return client.dynamic.Resource(api.Identities).Delete(t.Context(), id.String(), metav1.DeleteOptions{})
	}
	t.Cleanup(func() {
		_ = c.admin.dynamic.Resource(api.Identities).Delete(context.Background(), id.String(), metav1.DeleteOptions{})
	})
	if err := a.IdentityStore().Create(t.Context(), id, set); err != nil {
		t.Fatal(err)
	}
	if err := drop(a); err == nil || !strings.Contains(err.Error(), "no params found") {
		t.Errorf("deletion without an election: %v", err)
	}
	forbidden(t, "electing another node", elect(t, a, realB))
	if err := elect(t, a, realA); err != nil {
		t.Fatalf("electing itself: %v", err)
	}
	forbidden(t, "deletion by who is not elected", drop(b))
	forbidden(t, "electing another node in one's place", elect(t, a, realB))
	forbidden(t, "giving up for another node", elect(t, b, ""))
	if err := elect(t, a, ""); err != nil {
		t.Errorf("giving up: %v", err)
	}
	if err := elect(t, b, realB); err != nil {
		t.Errorf("electing itself after another: %v", err)
	}
	other := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: "signet-other"}}
	_, err := b.core.CoordinationV1().Leases(leaseNamespace).Create(t.Context(), other, metav1.CreateOptions{})
	forbidden(t, "another Lease", err)
	eventually(t, "the elected one deletes", func() bool { err := drop(b); return err == nil || apierrors.IsNotFound(err) })
	if err := a.IdentityStore().Create(t.Context(), id, set); err != nil {
		t.Fatal(err)
	}
	forbidden(t, "deletion by who gave up", drop(a))
}

// An agent may say of its own node alone what its pods have.
func TestRealAttestation(t *testing.T) {
	c := openCluster(t)
	client := c.agent(realA)
	w, seen := c.watch(client)
	node := tunnelNode(201)
	prefix, _ := derivePrefix(node)
	if err := w.PublishIdentities(t.Context(), []identity.ID{300}); !apierrors.IsNotFound(err) {
		t.Errorf("before the tunnel: %v", err)
	}
	if err := w.PublishTunnel(t.Context(), node, prefix); err != nil {
		t.Fatal(err)
	}
	if _, err := c.admin.dynamic.Resource(api.Tunnels).Create(t.Context(), encodedTunnel(t, tunnelNode(202)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	own := func(want ...identity.ID) func() bool {
		return func() bool { ids, listed := w.OwnIdentities(); return listed && equalIDs(ids, want) }
	}
	for _, ids := range [][]identity.ID{{300, 4294967295}, nil, {301}} {
		if err := w.PublishIdentities(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the identities come back", own(ids...))
	}
	if seen.of(Attestations) == 0 {
		t.Error("no poke")
	}
	node.Addresses = nil
	if err := w.PublishTunnel(t.Context(), node, prefix); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tunnel changes", func() bool {
		nodes, _ := w.Nodes()
		return len(nodes) > 0 && len(nodes[0].Addresses) == 0
	})
	if !own(301)() {
		t.Error("writing the tunnel took the identities away")
	}
	tunnels := client.dynamic.Resource(api.Tunnels)
	patch := []byte(`{"spec":{"identities":[300]}}`)
	_, err := tunnels.Patch(t.Context(), realB, types.MergePatchType, patch, metav1.PatchOptions{})
	forbidden(t, "another node's identities", err)
	for _, bad := range []string{`[255]`, `[4294967296]`, `["300"]`} {
		_, err := tunnels.Patch(t.Context(), realA, types.MergePatchType, []byte(`{"spec":{"identities":`+bad+`}}`), metav1.PatchOptions{})
		if !apierrors.IsInvalid(err) {
			t.Errorf("identities %s: %v", bad, err)
		}
	}
}

func equalIDs(a, b []identity.ID) bool {
	if len(a) != len(b) {
		return false
	}
	for n := range a {
		if a[n] != b[n] {
			return false
		}
	}
	return true
}
