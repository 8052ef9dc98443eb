package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

const (
	// collectedPerRound bounds the deletions of one round.
	collectedPerRound = 200
	podsPerPage       = 500
)

// errUnlisted is why nothing can be collected: what a node's pods have is not
// known.
var errUnlisted = errors.New("identities of its pods are not published")

// Collector deletes Identities that nothing uses. One agent of the cluster runs
// it, the elected one. It is not safe for concurrent use.
//
// What the watch shows only makes candidates. Before one is deleted the API
// server itself is asked, so that a cache that is behind cannot cost an
// identity that is in use: no Tunnel lists it, no pod that has not ended has
// its labels, and the object is still the one that was looked at.
type Collector struct {
	watcher *Watcher
	now     func() time.Time
	since   map[types.UID]time.Time // when an identity was first seen unused
}

// NewCollector makes a collector to which every identity is in use until now.
func (w *Watcher) NewCollector() *Collector {
	return &Collector{watcher: w, now: time.Now, since: map[types.UID]time.Time{}}
}

// Collect deletes what has been unused for grace, and gives those numbers. It
// is called over and over. An error says what could not be decided; what was
// decided holds.
func (c *Collector) Collect(ctx context.Context, grace time.Duration) ([]identity.ID, error) {
	candidates, err := c.candidates(grace)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	listed, err := c.watcher.listedLive(ctx)
	if err != nil {
		return nil, err
	}
	var gone []identity.ID
	var errs []error
	for _, it := range candidates {
		if listed[it.value.id] {
			continue
		}
		deleted, err := c.watcher.deleteUnused(ctx, it)
		if err != nil {
			errs = append(errs, fmt.Errorf("kube: collect identity %s: %w", it.Name, err))
		}
		if deleted {
			gone = append(gone, it.value.id)
		}
	}
	return gone, errors.Join(errs...)
}

// candidates gives the identities that, as far as the watch tells, have been
// unused for grace, the longest first.
func (c *Collector) candidates(grace time.Duration) ([]*item[published], error) {
	now := c.now()
	listed, err := listedBy(c.watcher.tunnels.items())
	if err != nil {
		clear(c.since)
		return nil, err
	}
	since := map[types.UID]time.Time{}
	var candidates []*item[published]
	for _, it := range c.watcher.identities.items() {
		if it.refused() || listed[it.value.id] {
			continue
		}
		at, known := c.since[it.UID]
		if !known {
			at = now
		}
		since[it.UID] = at
		if now.Sub(at) >= grace {
			candidates = append(candidates, it)
		}
	}
	c.since = since
	slices.SortFunc(candidates, func(a, b *item[published]) int {
		return cmp.Or(since[a.UID].Compare(since[b.UID]), cmp.Compare(a.Name, b.Name))
	})
	return candidates[:min(len(candidates), collectedPerRound)], nil
}

// listedBy unites what Tunnels list. With one that cannot be read, or whose
// agent does not list anything, nothing can be said of any identity.
func listedBy(tunnels []*item[tunnel]) (map[identity.ID]bool, error) {
	listed := map[identity.ID]bool{}
	for _, it := range tunnels {
		if it.refused() || !it.value.listed {
			return nil, fmt.Errorf("kube: collect: node %s: %w", it.Name, errUnlisted)
		}
		for _, id := range it.value.identities {
			listed[id] = true
		}
	}
	return listed, nil
}

// listedLive is listedBy, asked of the API server.
func (w *Watcher) listedLive(ctx context.Context) (map[identity.ID]bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	object, err := w.client.tunnels.Get().Resource(string(Tunnels)).Do(ctx).Get()
	if err != nil {
		return nil, fmt.Errorf("kube: collect: %w", err)
	}
	list, ok := object.(*api.ReceivedTunnels)
	if !ok {
		return nil, fmt.Errorf("kube: collect: got a %T for a list of tunnels", object)
	}
	listed := map[identity.ID]bool{}
	for _, object := range list.Items {
		if readable(object) != nil || object.Spec.Identities == nil {
			return nil, fmt.Errorf("kube: collect: node %s: %w", object.Name, errUnlisted)
		}
		for _, id := range podIdentities(object.Spec.Identities) {
			listed[id] = true
		}
	}
	return listed, nil
}

// deleteUnused deletes an Identity unless a pod has its labels, or the object
// is not the one that was looked at.
func (w *Watcher) deleteUnused(ctx context.Context, it *item[published]) (bool, error) {
	identities := w.client.dynamic.Resource(api.Identities)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	object, err := identities.Get(ctx, it.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	uid, version := object.GetUID(), object.GetResourceVersion()
	if uid != it.UID {
		return false, nil // made anew: somebody needs it
	}
	used, err := w.usedByPod(ctx, it.value.set)
	if err != nil || used {
		return false, err
	}
	err = identities.Delete(ctx, it.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// usedByPod asks whether a pod that has not ended can have this set.
func (w *Watcher) usedByPod(ctx context.Context, set identity.Set) (bool, error) {
	namespace, err := w.client.core.CoreV1().Namespaces().Get(ctx, set.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	options := metav1.ListOptions{Limit: podsPerPage}
	for {
		pods, err := w.client.core.CoreV1().Pods(set.Namespace).List(ctx, options)
		if err != nil {
			return false, err
		}
		for n := range pods.Items {
			pod := &pods.Items[n]
			ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			if !ended && !pod.Spec.HostNetwork && set.Fits(namespace.Labels, pod.Labels) {
				return true, nil
			}
		}
		if options.Continue = pods.Continue; options.Continue == "" {
			return false, nil
		}
	}
}
