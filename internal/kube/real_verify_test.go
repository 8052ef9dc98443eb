//go:build e2e

package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// runVerifier verifies until the test ends, as signet-verifier does.
func (c *realCluster) runVerifier() {
	c.t.Helper()
	poked := make(chan struct{}, 1)
	v, err := NewVerifier(c.account("signet-verifier", realB), func(Kind) {
		select {
		case poked <- struct{}{}:
		default:
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { v.Run(ctx); done <- struct{}{} }()
	c.t.Cleanup(func() { cancel(); <-done; <-done })
	go func() {
		defer func() { done <- struct{}{} }()
		for ctx.Err() == nil {
			next, err := v.Verify(ctx)
			if err != nil && ctx.Err() == nil {
				c.t.Log(err)
			}
			select {
			case <-ctx.Done():
			case <-poked:
			case <-time.After(next):
			}
		}
	}()
}

// concertPod makes a pod of concertSet's labels on a node.
func (c *realCluster) concertPod(name, node string, annotations map[string]string) {
	c.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "concert", Name: name, Annotations: annotations,
			Labels: map[string]string{"role": "vip", "pod-template-hash": "x"},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	pods := c.admin.core.CoreV1().Pods("concert")
	if _, err := pods.Create(c.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	now := int64(0)
	c.t.Cleanup(func() { _ = pods.Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}) })
}

// A node lists what it likes, and speaks for its pods' labels alone: the
// verifier says so, and nobody in its place.
func TestRealVerifier(t *testing.T) {
	c := openCluster(t)
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "concert", Labels: map[string]string{"team": "a"}}}
	spaces := c.admin.core.CoreV1().Namespaces()
	if _, err := spaces.Create(t.Context(), space, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spaces.Delete(context.Background(), "concert", metav1.DeleteOptions{}) })
	agent := c.agent(realA)
	w, _ := c.watch(agent)
	set := concertSet()
	vip := identity.Number(set, 0)
	t.Cleanup(func() {
		_ = c.admin.dynamic.Resource(api.Identities).Delete(context.Background(), vip.String(), metav1.DeleteOptions{})
	})
	node := tunnelNode(201)
	prefix, _ := derivePrefix(node)
	if err := agent.IdentityStore().Create(t.Context(), vip, set); err != nil && !errors.Is(err, identity.ErrExists) {
		t.Fatal(err)
	}
	err := errors.Join(w.PublishTunnel(t.Context(), node, prefix),
		w.PublishIdentities(t.Context(), []identity.ID{vip, 999}))
	if err != nil {
		t.Fatal(err)
	}
	c.runVerifier()
	c.concertPod("elsewhere", realB, nil)
	c.concertPod("mirror", realA, map[string]string{corev1.MirrorPodAnnotationKey: "x"})
	time.Sleep(time.Second) // for a look at them
	if got := w.OwnVerified(); len(got) != 0 {
		t.Errorf("verified without a pod: %v", got)
	}
	c.concertPod("here", realA, nil)
	eventually(t, "what a pod has is verified", func() bool { return equalIDs(w.OwnVerified(), []identity.ID{vip}) })
	prefixes := w.Attested()
	if !equalIDs(prefixes[prefix], []identity.ID{vip}) {
		t.Errorf("attested %v", prefixes)
	}

	patch := []byte(`{"status":{"identities":[999]}}`)
	for name, client := range map[string]*Client{"its agent": agent, "an administrator": c.admin, "another agent": c.agent(realB)} {
		_, err := client.dynamic.Resource(api.Tunnels).Patch(t.Context(), realA, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		forbidden(t, name+" verifying", err)
	}
	if _, err := agent.dynamic.Resource(api.Tunnels).Patch(t.Context(), realA, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Errorf("a status beside the spec is passed over: %v", err)
	}
	_, err = c.account("signet-verifier", realB).dynamic.Resource(api.Tunnels).
		Patch(t.Context(), realA, types.MergePatchType, []byte(`{"spec":{"identities":[]}}`), metav1.PatchOptions{})
	forbidden(t, "the verifier listing identities", err)
	if err := w.PublishIdentities(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is not listed is not verified", func() bool { return len(w.OwnVerified()) == 0 })
}
