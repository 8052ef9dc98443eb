package kube

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/signet-cni/signet/identity"
)

// verifierManager owns the fields that the verifier writes.
const verifierManager = "signet-verifier"

// look asks for a node's pods, writes what of its list is true, and remembers
// when to look again.
func (v *Verifier) look(ctx context.Context, it *item[attestation]) error {
	v.mu.Lock()
	node := v.nodes[it.Name]
	if node == nil || node.uid != it.UID {
		node = &claimant{uid: it.UID, doubts: map[identity.ID]time.Time{}}
		v.nodes[it.Name] = node
	}
	changed := !slices.Equal(node.claimed, it.value.identities)
	node.claimed, node.looked = it.value.identities, v.now()
	v.mu.Unlock()

	labels, err := v.podsOf(ctx, it.Name)
	var verified []identity.ID
	if err == nil {
		v.mu.Lock()
		verified = v.weigh(node, it.value, labels)
		v.mu.Unlock()
		if !slices.Equal(verified, it.value.verified) {
			err = v.client.patchIdentities(ctx, it.Name, "status", verified, verifierManager)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if changed {
		node.backoff = firstDoubt
	}
	if err != nil {
		node.next = v.now().Add(node.again())
		return err
	}
	node.plan(v.now(), verified)
	return nil
}

// podLabels are labels of pods, by namespace.
type podLabels map[string][]map[string]string

// podsOf gives the labels of the pods scheduled to a node that can have an
// identity. Pods that the node itself has made up do not count: the API server
// lets a kubelet create the mirror of a static pod with any labels.
func (v *Verifier) podsOf(ctx context.Context, node string) (podLabels, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pods, err := v.client.core.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("spec.nodeName", node).String(),
		ResourceVersion: "0", // from the API server's cache, which has an index by node
	})
	if err != nil {
		return nil, err
	}
	found := podLabels{}
	for n := range pods.Items {
		pod := &pods.Items[n]
		_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if mirror || ended || pod.Spec.HostNetwork || pod.Spec.NodeName != node {
			continue
		}
		found[pod.Namespace] = append(found[pod.Namespace], pod.Labels)
	}
	return found, nil
}

// weigh gives those of the claimed identities that pods have, or had until a
// moment ago: packets may be under way. v.mu is held.
func (v *Verifier) weigh(node *claimant, claims attestation, pods podLabels) []identity.ID {
	now := v.now()
	doubts := map[identity.ID]time.Time{}
	var verified []identity.ID
	for _, id := range claims.identities {
		if v.carried(id, pods) {
			verified = append(verified, id)
			continue
		}
		since, known := node.doubts[id]
		if !known {
			since = now
		}
		doubts[id] = since
		if _, before := slices.BinarySearch(claims.verified, id); before && now.Sub(since) < identity.Grace {
			verified = append(verified, id)
		}
	}
	node.doubts = doubts
	return verified
}

// carried reports whether one of the pods can have the identity.
func (v *Verifier) carried(id identity.ID, pods podLabels) bool {
	it, ok := v.identities.get("", id.String())
	if !ok || it.refused() {
		return false
	}
	namespace, ok := v.namespaces.get("", it.value.set.Namespace)
	if !ok {
		return false
	}
	return slices.ContainsFunc(pods[it.value.set.Namespace], func(labels map[string]string) bool {
		return it.value.set.Fits(namespace.value, labels)
	})
}

// plan sets when to look again: soon and then less and less often while an
// identity waits for its pod, and when the time of one without a pod is up.
func (c *claimant) plan(now time.Time, verified []identity.ID) {
	c.next = now.Add(RecheckInterval)
	waits := false
	for id, since := range c.doubts {
		if _, admitted := slices.BinarySearch(verified, id); admitted {
			c.sooner(since.Add(identity.Grace))
		} else {
			waits = true
		}
	}
	if waits {
		c.sooner(now.Add(c.again()))
	}
}

// again gives how long to wait before another try: twice as long each time.
func (c *claimant) again() time.Duration {
	wait := c.backoff
	c.backoff = min(2*c.backoff, RecheckInterval)
	return wait
}

func (c *claimant) sooner(at time.Time) {
	if at.Before(c.next) {
		c.next = at
	}
}
