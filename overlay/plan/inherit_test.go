package plan

import (
	"net/netip"
	"reflect"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// kernelOf is what a plan leaves in the kernel.
func kernelOf(r Result) InForce {
	k := InForce{Holders: map[netip.Prefix]netip.Prefix{}}
	for _, p := range r.Peers {
		k.Peers = append(k.Peers, overlay.Peer{PublicKey: p.PublicKey, Endpoint: p.Endpoint, AllowedIPs: p.AllowedIPs})
	}
	for _, l := range r.Locations {
		if l.Kind == overlay.RemotePods || l.Kind == overlay.RemoteNode {
			k.Holders[l.Prefix] = netip.PrefixFrom(l.TunnelPrefix, 64)
		}
	}
	return k
}

func TestInherit(t *testing.T) {
	two := number6(2)
	two.Detour.PublicKey = wgtypes.Key{2, 2}
	before := compute6(t, number6(0), dual, number6(1), two)
	got := Inherit([]overlay.Node{two, number6(1), number6(3)}, dual, kernelOf(before))
	if !reflect.DeepEqual(got, before.Accepted) {
		t.Errorf("got\n%+v\nwant\n%+v", got, before.Accepted)
	}
	if got := Inherit([]overlay.Node{two}, dual, InForce{}); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestConflictAfterRestart: an agent that has started anew knows from the kernel
// who was there before, and leaves it alone. What came between is refused.
func TestConflictAfterRestart(t *testing.T) {
	kernel := kernelOf(compute(t, config, number(1), number(3)))
	for reason, change := range steal {
		for _, name := range []string{"node-a0", "node-c"} { // by name before and behind the victim
			t.Run(string(reason)+" of "+name, func(t *testing.T) {
				thief := number(2)
				thief.Name = name
				change(&thief, number(1))
				nodes := []overlay.Node{thief, number(1), number(3)}
				cfg := config
				cfg.Accepted = Inherit(nodes, cfg, kernel)
				got := compute(t, cfg, nodes...)
				if !reflect.DeepEqual(names(got), []string{"node-b", "node-d"}) {
					t.Fatalf("peers %v", names(got))
				}
				if len(got.Refused) != 1 || got.Refused[0].Node != name || got.Refused[0].Other != "node-b" || got.Refused[0].Reason != reason {
					t.Errorf("refused %v", got.Refused)
				}
			})
		}
	}
}

// TestPeerTurnsThief: a node that is a peer and, while no agent ran, began to
// claim what another peer has, gains nothing.
func TestPeerTurnsThief(t *testing.T) {
	kernel := kernelOf(compute(t, config, number(1), number(2), number(3)))
	for reason, change := range steal {
		t.Run(string(reason), func(t *testing.T) {
			thief := number(2)
			change(&thief, number(1))
			nodes := []overlay.Node{thief, number(1), number(3)}
			cfg := config
			cfg.Accepted = Inherit(nodes, cfg, kernel)
			if got := compute(t, cfg, nodes...); !reflect.DeepEqual(names(got), []string{"node-b", "node-d"}) {
				t.Errorf("peers %v, refused %v", names(got), got.Refused)
			}
		})
	}
}

// TestGrownSinceRestart: the first address of a range, and so the prefix, is not
// the range.
func TestGrownSinceRestart(t *testing.T) {
	kernel := kernelOf(compute(t, config, number(4), number(5), number(6)))
	grown := number(4)
	grown.PodCIDRs = prefixes("10.244.4.0/22")
	nodes := []overlay.Node{grown, number(5), number(6)}
	cfg := config
	cfg.Accepted = Inherit(nodes, cfg, kernel)
	if got := compute(t, cfg, nodes...); !reflect.DeepEqual(names(got), []string{"node-f", "node-g"}) {
		t.Errorf("peers %v, refused %v", names(got), got.Refused)
	}
}

// TestPerfectCopy: a node that publishes all that another does changes nothing.
func TestPerfectCopy(t *testing.T) {
	before := compute(t, config, number(1), number(3))
	copied := number(1)
	copied.Name = "node-a0"
	nodes := []overlay.Node{copied, number(1), number(3)}
	cfg := config
	cfg.Accepted = Inherit(nodes, cfg, kernelOf(before))
	got := compute(t, cfg, nodes...)
	if len(got.Refused) == 0 || !reflect.DeepEqual(got.Locations, before.Locations) {
		t.Errorf("refused %v, locations %v", got.Refused, got.Locations)
	}
}
