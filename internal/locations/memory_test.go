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
