package harness

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
)

// The cluster's ranges. Node i has pods in 10.244.i.0/24, or a smaller range
// with the same base, and in fd10:244:0:i::/64.
var (
	ClusterRange = netip.MustParsePrefix("10.244.0.0/16")
	ServiceRange = netip.MustParsePrefix("10.96.0.0/12")
	NodeRange    = netip.MustParsePrefix("192.0.2.0/24")
	WorldRange   = netip.MustParsePrefix("198.51.100.0/24")

	ClusterRange6 = netip.MustParsePrefix("fd10:244::/48")
	ServiceRange6 = netip.MustParsePrefix("fd10:96::/112")
	NodeRange6    = netip.MustParsePrefix("2001:db8::/64")
	WorldRange6   = netip.MustParsePrefix("2001:db8:ffff::/64")

	clusterID = overlay.ClusterID{0x51, 0xa2, 0xb3}
)

// Options of a cluster. The zero value is what a test usually wants.
type Options struct {
	UnderlayMTU int  // bytes; 0 means 1500
	PodBits     int  // length of the nodes' pod ranges; 0 means 24
	Closed      bool // load no policy: nothing may pass
	ForceClsact bool // attach with clsact where the kernel has tcx, too
	Netkit      bool // pods have netkit devices, which the kernel must have
	Underlay    Underlay
	IPv4Pods    bool // no IPv6 for pods
}

// ranges are the pods' of the whole cluster.
func (o Options) ranges() overlay.Ranges {
	if o.IPv4Pods {
		return overlay.Ranges{V4: ClusterRange}
	}
	return clusterRanges
}

// Underlay says what addresses the nodes have.
type Underlay int

// The kinds of underlay.
const (
	BothFamilies Underlay = iota // WireGuard speaks IPv4
	OnlyIPv4
	OnlyIPv6
)

// pick gives those of the addresses that the underlay has.
func (u Underlay) pick(v4, v6 netip.Addr) []netip.Addr {
	return [...][]netip.Addr{BothFamilies: {v4, v6}, OnlyIPv4: {v4}, OnlyIPv6: {v6}}[u]
}

// Cluster is a set of nodes, the world, and what the API server would know.
// It is not safe for concurrent use.
type Cluster struct {
	Nodes []*Node
	World *Host

	t          TB
	machines   []*Node // booted; all Nodes are
	dir        string
	options    Options
	registry   *identity.Registry
	policies   []policy.Policy
	services   []service.Service
	namespaces map[string]map[string]string // labels
	pods       map[string]*Pod              // by namespace/name
	joining    []netip.Addr                 // see Announce
	published  chan struct{}
	orders     chan func()
}

// NewCluster starts count nodes that know each other, with no pod and no
// policy, which admits everything. It ends with the test.
func NewCluster(t TB, count int, options Options) *Cluster {
	t.Helper()
	if options.UnderlayMTU == 0 {
		options.UnderlayMTU = 1500
	}
	if options.PodBits == 0 {
		options.PodBits = 24
	}
	c := &Cluster{
		t: t, options: options, registry: identity.NewRegistry(newStore()),
		namespaces: map[string]map[string]string{}, pods: map[string]*Pod{},
		published: make(chan struct{}, 1), orders: make(chan func()),
	}
	c.dir = c.makeDir()
	c.World = c.newWorld()
	for i := range count {
		c.boot(c.podRange(i + 1)).start()
	}
	c.must(c.Sync())
	if !options.Closed {
		c.must(c.applyPolicies())
	}
	return c
}

func (c *Cluster) makeDir() string {
	c.t.Helper()
	dir, err := os.MkdirTemp(Scratch(), "cluster-")
	c.must(err)
	c.t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing of value
	return dir
}

func (c *Cluster) newWorld() *Host {
	c.t.Helper()
	w := &Host{
		Namespace: newNamespace(c.t, "world"),
		Addr:      netip.MustParseAddr("198.51.100.7"), Addr6: netip.MustParseAddr("2001:db8:ffff::7"),
	}
	c.must(w.plug("world", c.options.UnderlayMTU, w.Addr, w.Addr6))
	return w
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%v", err)
	}
}

// Sync lets every node plan for the nodes that there are now.
func (c *Cluster) Sync() error {
	for _, n := range c.Nodes {
		if err := n.sync(c.publications()); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

func (c *Cluster) publications() []overlay.Node {
	var all []overlay.Node
	for _, n := range c.Nodes {
		all = append(all, n.public)
	}
	return all
}

// SetPolicies puts exactly these policies in force on every node.
func (c *Cluster) SetPolicies(policies ...policy.Policy) {
	c.t.Helper()
	c.policies = slices.Clone(policies)
	c.must(c.applyPolicies())
}

func (c *Cluster) applyPolicies() error {
	compiled := policy.Compile(c.registry.All(), c.policies)
	for _, n := range c.Nodes {
		if _, err := n.Datapath.SetPolicy(&compiled.Table); err != nil {
			return fmt.Errorf("policy of %s: %w", n.name, err)
		}
	}
	return nil
}

// SetServices puts exactly these services in force on every node.
func (c *Cluster) SetServices(services ...service.Service) {
	c.t.Helper()
	c.services = slices.Clone(services)
	for _, n := range c.Nodes {
		_, err := n.Datapath.SetServices(c.services)
		c.must(err)
	}
}

// Attest lets every node know which identities the others' pods have, as their
// Tunnel objects would say.
func (c *Cluster) Attest(mode datapath.Attestation) {
	c.t.Helper()
	attested := map[netip.Prefix][]identity.ID{}
	for _, p := range c.pods {
		prefix := p.Node.Prefix()
		attested[prefix] = append(attested[prefix], p.Identity)
	}
	for _, n := range c.Nodes {
		_, err := n.Datapath.SetAttested(attested, mode)
		c.must(err)
	}
}

// LabelNamespace sets the labels of a namespace for pods that are yet to come.
func (c *Cluster) LabelNamespace(name string, labels map[string]string) {
	c.namespaces[name] = labels
}

// Introduce lets every node know the identities of pods with these labels, from
// the next policies on.
func (c *Cluster) Introduce(labels ...Labels) {
	c.t.Helper()
	for _, l := range labels {
		_, err := c.identify(l.Namespace, l.Pod)
		c.must(err)
	}
}

// identify gives the number of a pod with these labels.
func (c *Cluster) identify(namespace string, labels map[string]string) (identity.ID, error) {
	ignore := identity.DefaultIgnore().Counting(policy.NamedKeys(c.policies))
	set := identity.NewSet(namespace, c.namespaces[namespace], labels, ignore)
	return c.registry.Resolve(context.Background(), set)
}
