package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// cluster is the API server, and what has been put into it.
type cluster struct {
	config *rest.Config
	core   kubernetes.Interface
	custom dynamic.Interface
	id     overlay.ClusterID
	full   size
	has    size
}

// atATime is how many requests are under way.
const atATime = 32

// openCluster finds the API server that tests/control has started.
func openCluster(full size) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("SIGNET_TEST_KUBECONFIG"))
	if err != nil {
		return nil, fmt.Errorf("no API server; use scale.sh: %w", err)
	}
	config.QPS, config.Burst = -1, -1 // the server sets the pace
	c := &cluster{config: config, full: full}
	if c.id, err = overlay.ParseClusterID("51c7e1"); err != nil {
		return nil, err
	}
	if c.custom, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	c.core, err = kubernetes.NewForConfig(protobuf)
	return c, err
}

// fill brings the cluster up to a size.
func (c *cluster) fill(ctx context.Context, to size) error {
	say("filling up to %v", to)
	if c.has.nodes == 0 {
		if err := each(ctx, "namespaces", 0, spaces, func(ctx context.Context, n int) error {
			_, err := c.core.CoreV1().Namespaces().Create(ctx, space(n), metav1.CreateOptions{})
			return err
		}); err != nil {
			return err
		}
	}
	steps := []struct {
		what     string
		from, to int
		create   func(context.Context, int) error
	}{
		{"nodes", c.has.nodes, to.nodes, c.createNode},
		{"policies", c.has.policies, to.policies, func(ctx context.Context, n int) error {
			p := apiPolicy(n)
			_, err := c.core.NetworkingV1().NetworkPolicies(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
			return err
		}},
		{"identities", c.has.identities, to.identities, func(ctx context.Context, n int) error { return c.createIdentity(ctx, set(n)) }},
		{"pods", c.has.pods, to.pods, func(ctx context.Context, n int) error {
			p := apiPod(n, size{nodes: to.nodes, identities: min(to.identities, c.full.identities/10)})
			_, err := c.core.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
			return err
		}},
	}
	for _, step := range steps {
		if err := each(ctx, step.what, step.from, step.to, step.create); err != nil {
			return err
		}
	}
	if c.has.pods != to.pods {
		if err := each(ctx, "lists of identities", 1, to.nodes, func(ctx context.Context, n int) error {
			return c.list(ctx, n, to)
		}); err != nil {
			return err
		}
	}
	c.has = to
	return nil
}

// createNode makes a Node and, unless it is the agent's own, its Tunnel.
func (c *cluster) createNode(ctx context.Context, n int) error {
	object, err := c.core.CoreV1().Nodes().Create(ctx, apiNode(n), metav1.CreateOptions{})
	if err != nil || n == 0 {
		return err
	}
	prefix, err := overlay.Prefix(c.id, nodeCIDR(n))
	if err != nil {
		return err
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], uint64(n)+1)
	tunnel := api.Tunnel{Spec: api.TunnelSpec{
		PublicKey: base64.StdEncoding.EncodeToString(key[:]), Endpoint: nodeAddr(n).String() + ":51872",
		PodCIDRs: []string{nodeCIDR(n).String()}, Addresses: []string{nodeAddr(n).String()}, Prefix: prefix.String(),
	}}
	tunnel.Name = nodeName(n)
	tunnel.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: object.Name, UID: object.UID}}
	tunnel.SetGroupVersionKind(api.GroupVersion.WithKind(api.TunnelKind))
	encoded, err := api.Encode(tunnel)
	if err != nil {
		return err
	}
	_, err = c.custom.Resource(api.Tunnels).Create(ctx, encoded, metav1.CreateOptions{})
	return err
}

// createIdentity publishes a set under the number that an agent would give it.
func (c *cluster) createIdentity(ctx context.Context, set identity.Set) error {
	for attempt := range identity.MaxAttempts {
		object := api.Identity{Spec: api.IdentitySpec{
			Namespace: set.Namespace, NamespaceLabels: set.NamespaceLabels, PodLabels: set.PodLabels,
			Dropped: set.Dropped, Counted: set.Counted,
		}}
		object.Name = identity.Number(set, attempt).String()
		object.SetGroupVersionKind(api.GroupVersion.WithKind(api.IdentityKind))
		encoded, err := api.Encode(object)
		if err != nil {
			return err
		}
		_, err = c.custom.Resource(api.Identities).Create(ctx, encoded, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) { // 10,000 numbers of 32 bits collide once in a hundred runs
			return err
		}
	}
	return fmt.Errorf("no number is free for %v", set)
}

// list writes which identities a node's pods have, as its agent would.
func (c *cluster) list(ctx context.Context, node int, s size) error {
	ids := []identity.ID{}
	for pod := node; pod < s.pods; pod += s.nodes {
		ids = append(ids, identity.Number(set(setOf(pod, c.full.identities/10)), 0))
	}
	slices.Sort(ids)
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"identities": slices.Compact(ids)}})
	if err != nil {
		return err
	}
	_, err = c.custom.Resource(api.Tunnels).Patch(ctx, nodeName(node), types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// each calls do for from up to before, many at a time, and tells how far it is.
func each(ctx context.Context, what string, from, before int, do func(context.Context, int) error) error {
	if from >= before {
		return nil
	}
	began, told := time.Now(), time.Now()
	var done atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for n := from; n < before && inner.Err() == nil; n++ {
		group.Go(func() error {
			if err := do(inner, n); err != nil {
				return fmt.Errorf("%s, number %d: %w", what, n, err)
			}
			done.Add(1)
			return nil
		})
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			say("%s: %d of %d", what, done.Load(), before-from)
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	say("%s: %d in %.1f s", what, before-from, time.Since(began).Seconds())
	return ctx.Err()
}
