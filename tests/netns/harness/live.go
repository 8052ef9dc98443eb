package harness

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay/tunnel"
)

// lookInterval is how often an agent looks at its devices.
const lookInterval = time.Second

// steering is the node's datapath of the moment (tunnel.Steering).
type steering struct{ node *Node }

// SetDetours implements tunnel.Steering.
func (s steering) SetDetours(prefixes []netip.Prefix) (bool, error) {
	return s.node.Datapath.SetDetours(prefixes)
}

// Detours implements tunnel.Steering.
func (s steering) Detours() []netip.Prefix { return s.node.Datapath.Detours() }

// poke says that a node has to publish itself anew.
func (c *Cluster) poke() {
	select {
	case c.published <- struct{}{}:
	default:
	}
}

// Live does until the test ends what agents do all the time: look at their
// devices, and plan anew when a node has published itself. Nodes that alive
// refuses have no agent for the moment. The test itself must not Sync
// meanwhile.
func (c *Cluster) Live(alive func(*Node) bool) (stop func()) {
	c.t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case order := <-c.orders:
				order()
			case <-c.published:
				c.republish(alive)
			case <-tick.C:
				c.look(alive)
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// Between runs f while no agent does anything. The cluster must live.
func (c *Cluster) Between(f func() error) {
	c.t.Helper()
	done := make(chan error, 1)
	c.orders <- func() { done <- f() }
	c.must(<-done)
}

func (c *Cluster) republish(alive func(*Node) bool) {
	for _, n := range c.Nodes {
		if alive(n) {
			n.publish()
		}
	}
	for _, n := range c.Nodes {
		if !alive(n) {
			continue
		}
		if err := n.sync(c.publications()); err != nil {
			c.t.Errorf("%s: %v", n.name, err)
		}
	}
}

func (c *Cluster) look(alive func(*Node) bool) {
	for _, n := range c.Nodes {
		if !alive(n) {
			continue
		}
		if err := n.Look(); err != nil {
			c.t.Errorf("%s: %v", n.name, err)
		}
	}
}

// Look has the node look at its devices, as an agent does every second.
func (n *Node) Look() error { return n.Try(n.tunnel.Look) }

// Rotate begins a change of the node's keys, which goes on while the cluster
// lives.
func (n *Node) Rotate() error { return n.tunnel.Rotate() }

// Rotation is a change of keys.
type Rotation = tunnel.Rotation

// Rotation tells how that fares.
func (n *Node) Rotation() Rotation { return n.tunnel.Rotation() }

// PublicKeys are those of the node's two devices.
func (n *Node) PublicKeys() [2]string {
	first, second, _ := n.keys.Public()
	return [2]string{first.String(), second.String()}
}

// AcceptedKeys lists the public keys of the peers of both of the node's devices.
func (n *Node) AcceptedKeys() (keys []string) {
	n.Do(func() error {
		first, second, err := n.tunnel.Status()
		for _, p := range slices.Concat(first.Peers, second.Peers) {
			keys = append(keys, p.PublicKey.String())
		}
		return err
	})
	return keys
}

// Away cuts the node off, in both directions and by IPv4, from all other nodes;
// back ends that.
func (n *Node) Away() (back func()) {
	n.t.Helper()
	nowhere := &netlink.Route{Dst: ipNet(NodeRange.String()), Type: unix.RTN_UNREACHABLE}
	lost := &netlink.Route{Dst: hostNet(n.own[0]), Type: unix.RTN_BLACKHOLE}
	n.Do(func() error { return netlink.RouteAdd(nowhere) })
	n.cluster.must(netlink.RouteReplace(lost))
	return func() {
		n.t.Helper()
		n.Do(func() error { return netlink.RouteDel(nowhere) })
		n.cluster.must(addRoute(n.Uplink, hostNet(n.own[0]), netip.Addr{}))
	}
}

// Connected says whether the node has a session with every peer of its first
// device.
func (n *Node) Connected() (all bool) {
	n.Do(func() error {
		first, _, err := n.tunnel.Status()
		all = len(first.Peers) > 0
		for _, p := range first.Peers {
			all = all && !p.LastHandshake.IsZero()
		}
		return err
	})
	return all
}
