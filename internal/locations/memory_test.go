package locations

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
)

func TestQuarantine(t *testing.T) {
	var m Memory
	first, second := netip.MustParsePrefix("192.0.2.11/32"), netip.MustParsePrefix("192.0.2.12/32")
	node := datapath.Location{Kind: datapath.RemoteHost}
	closed := datapath.Location{Kind: datapath.ClusterPods}
	pods := datapath.Location{Kind: datapath.RemotePods}
	type table = map[netip.Prefix]datapath.Location
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		name  string
		after time.Duration
		now   table // in the plan
		want  table
	}{
		{"both there", 0, table{first: node, second: node}, table{first: node, second: node}},
		{"one gone", time.Second, table{first: node}, table{first: node, second: closed}},
		{"and still", Quarantine - time.Second, table{first: node}, table{first: node, second: closed}},
		{"its address is another's", Quarantine - time.Second, table{first: node, second: pods}, table{first: node, second: pods}},
		{"long gone", Quarantine, table{first: node}, table{first: node}},
		{"the other gone after a long time", 2*Quarantine - time.Second, table{}, table{first: closed}},
		{"back", 2 * Quarantine, table{first: node}, table{first: node}},
	} {
		got := maps.Clone(step.now)
		m.Close(got, start.Add(step.after))
		if !maps.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

// A new agent finds the addresses of the nodes that were there, and those that
// an earlier one had closed.
func TestQuarantineOutlivesTheAgent(t *testing.T) {
	node, closed := netip.MustParsePrefix("192.0.2.11/32"), netip.MustParsePrefix("2001:db8::12/128")
	var m Memory
	start := time.Unix(1000, 0)
	m.Resume(map[netip.Prefix]datapath.Location{
		node: {Kind: datapath.RemoteHost}, closed: {Kind: datapath.ClusterPods},
		netip.MustParsePrefix("10.244.0.0/16"): {Kind: datapath.ClusterPods}, netip.MustParsePrefix("192.0.2.10/32"): {Kind: datapath.LocalHost},
	}, start)
	got := map[netip.Prefix]datapath.Location{}
	m.Close(got, start.Add(Quarantine-time.Second))
	if want := (map[netip.Prefix]datapath.Location{node: {Kind: datapath.ClusterPods}, closed: {Kind: datapath.ClusterPods}}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	clear(got)
	if m.Close(got, start.Add(Quarantine)); len(got) != 0 {
		t.Errorf("%v after the time of quarantine", got)
	}
}
