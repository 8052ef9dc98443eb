package locations

import (
	"net/netip"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
)

// Quarantine is how long the address of a node that is gone stays closed to
// pods. The machine is likely to be there still; its address would be the
// world's, and what pods send to it plaintext.
const Quarantine = 5 * time.Minute

// Memory knows the addresses of nodes that were there lately. The zero value
// knows none. It is not safe for concurrent use.
type Memory struct {
	until map[netip.Prefix]time.Time
}

// Resume notes the addresses of nodes, and those that are closed because they
// were or will be: as if they were all there now. A new agent calls it with the
// table that it finds in force.
func (m *Memory) Resume(inForce map[netip.Prefix]datapath.Location, now time.Time) {
	if m.until == nil {
		m.until = map[netip.Prefix]time.Time{}
	}
	for prefix, row := range inForce {
		if row.Kind == datapath.RemoteHost || row.Kind == datapath.ClusterPods && prefix.IsSingleIP() {
			m.until[prefix] = now.Add(Quarantine)
		}
	}
}

// Close adds to the table, as of now, the addresses that are in quarantine.
// Whoever has one of them by now keeps it.
func (m *Memory) Close(table map[netip.Prefix]datapath.Location, now time.Time) {
	m.Resume(table, now)
	for prefix, until := range m.until {
		_, taken := table[prefix]
		switch {
		case !until.After(now):
			delete(m.until, prefix)
		case !taken:
			table[prefix] = datapath.Location{Kind: datapath.ClusterPods}
		}
	}
}
