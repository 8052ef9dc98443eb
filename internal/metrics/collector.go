package metrics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// description is one metric that is read when Prometheus asks.
type description struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func describe(kind prometheus.ValueType, name, help string, labels ...string) description {
	return description{prometheus.NewDesc("signet_"+name, help, labels, nil), kind}
}

var (
	buildInfo  = describe(prometheus.GaugeValue, "build_info", "1; the label is the agent's version.", "version")
	ready      = describe(prometheus.GaugeValue, "ready", "1 if the node encrypts, enforces and takes new pods, else 0.")
	dropped    = describe(prometheus.CounterValue, "dropped_packets_total", "Packets dropped, every one counted by the kernel.", "reason")
	droppedB   = describe(prometheus.CounterValue, "dropped_bytes_total", "Bytes of these packets.", "reason")
	suppressed = describe(prometheus.CounterValue, "events_suppressed_total", "Drop events over the rate limit, which became no flow.")
	lost       = describe(prometheus.CounterValue, "events_lost_total", "Events that met a full ring, and became no flow.")
	mapEntries = describe(prometheus.GaugeValue, "map_entries", "Entries of a kernel table.", "map")
	mapMax     = describe(prometheus.GaugeValue, "map_max_entries", "Most entries that it can hold.", "map")
	peers      = describe(prometheus.GaugeValue, "tunnel_peers", "Other nodes that the WireGuard device has as peers.")
	refused    = describe(prometheus.GaugeValue, "tunnel_refused_nodes", "Nodes whose Tunnel object is refused.")
	handshake  = describe(prometheus.GaugeValue, "tunnel_peer_handshake_age_seconds", "Time since the last handshake; absent if there was none.", "peer")
	received   = describe(prometheus.CounterValue, "tunnel_peer_received_bytes_total", "Bytes received from a peer, WireGuard's own included.", "peer")
	sent       = describe(prometheus.CounterValue, "tunnel_peer_sent_bytes_total", "Bytes sent to a peer, WireGuard's own included.", "peer")
	endpoints  = describe(prometheus.GaugeValue, "endpoints", "Pods of this node.")
	identities = describe(prometheus.GaugeValue, "identities", "Identities that the policy in force knows.")
	largest    = describe(prometheus.GaugeValue, "namespace_identities_max", "Identities of the namespace that has most.")
	limit      = describe(prometheus.GaugeValue, "namespace_identities_limit", "Identities of a namespace before an Event asks to look at its labels; 0: any number.")
	unattested = describe(prometheus.CounterValue, "unattested_packets_total", "Packets whose identity was not verified for the sending node: in audit the first of each flow and revision.")
	policies   = describe(prometheus.GaugeValue, "policies", "NetworkPolicies in force.")
	parts      = describe(prometheus.GaugeValue, "policy_refused_parts", "Parts of a NetworkPolicy that cannot be honoured, and admit nothing.", "namespace", "policy", "reason")
	rows       = describe(prometheus.GaugeValue, "policy_rows", "Rows of all compiled rule sets.")
	revision   = describe(prometheus.GaugeValue, "policy_revision", "Policy revision in force; 0: none is loaded and nothing passes.")
	runs       = describe(prometheus.CounterValue, "reconcile_runs_total", "Runs of a reconcile loop, failures included.", "loop")
	failures   = describe(prometheus.CounterValue, "reconcile_errors_total", "Runs of a reconcile loop that failed.", "loop")
	success    = describe(prometheus.GaugeValue, "reconcile_last_success_timestamp_seconds", "When a reconcile loop last succeeded; absent if never.", "loop")
	objects    = describe(prometheus.GaugeValue, "watch_objects", "API objects that a watch holds.", "kind")
	failing    = describe(prometheus.GaugeValue, "watch_failing", "1 if a watch is not in sync with the API server, else 0.", "kind")
)

var descriptions = []description{
	buildInfo, ready, dropped, droppedB, suppressed, lost, mapEntries, mapMax, peers, refused, handshake, received, sent,
	endpoints, identities, largest, limit, unattested, policies, parts, rows, revision, runs, failures, success, objects, failing,
}

// collector reads a Source when Prometheus asks.
type collector struct {
	source Source
	now    func() time.Time
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		out <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Snapshot()
	tell := func(d description, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d.desc, d.kind, value, labels...)
	}
	tell(buildInfo, 1, s.Version)
	tell(ready, truth(s.Ready))
	if !s.Started {
		return
	}
	tell(suppressed, float64(s.EventsSuppressed))
	tell(lost, float64(s.EventsLost))
	tell(endpoints, float64(s.Endpoints))
	tell(identities, float64(s.Identities))
	tell(largest, float64(s.Largest))
	tell(limit, float64(s.LargestLimit))
	tell(unattested, float64(s.Unattested.Packets))
	tell(policies, float64(s.Policies))
	collectParts(s.RefusedParts, tell)
	tell(rows, float64(s.Rows))
	tell(revision, float64(s.Revision))
	tell(refused, float64(s.Refused))
	for reason, count := range s.Drops {
		tell(dropped, float64(count.Packets), reason)
		tell(droppedB, float64(count.Bytes), reason)
	}
	for _, m := range s.Maps {
		tell(mapEntries, float64(m.Entries), m.Name)
		tell(mapMax, float64(m.Max), m.Name)
	}
	c.collectPeers(s.Peers, tell)
	collectLoops(s, tell)
}

// collectParts tells of a bounded number of policies.
func collectParts(refused map[PolicyPart]int, tell func(description, float64, ...string)) {
	names, sums := newBound(maxPolicies), map[PolicyPart]int{}
	order := slices.SortedFunc(maps.Keys(refused), func(a, b PolicyPart) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Policy, b.Policy))
	})
	for _, part := range order {
		count := refused[part]
		if !names.admits(part.Namespace + "/" + part.Policy) {
			part.Namespace, part.Policy = other, other
		}
		sums[part] += count
	}
	for part, count := range sums {
		tell(parts, float64(count), part.Namespace, part.Policy, part.Reason)
	}
}

func (c *collector) collectPeers(list []Peer, tell func(description, float64, ...string)) {
	tell(peers, float64(len(list)))
	for _, p := range byNode(list) {
		tell(received, float64(p.Rx), p.Node)
		tell(sent, float64(p.Tx), p.Node)
		if !p.Handshake.IsZero() {
			tell(handshake, c.now().Sub(p.Handshake).Seconds(), p.Node)
		}
	}
}

// byNode sums up peers of the same name: a label may not come twice.
func byNode(list []Peer) map[string]Peer {
	sums := map[string]Peer{}
	for _, p := range list {
		if p.Node == "" {
			p.Node = "unknown"
		}
		sum := sums[p.Node]
		sum.Node, sum.Rx, sum.Tx = p.Node, sum.Rx+p.Rx, sum.Tx+p.Tx
		if p.Handshake.After(sum.Handshake) {
			sum.Handshake = p.Handshake
		}
		sums[p.Node] = sum
	}
	return sums
}

func collectLoops(s Snapshot, tell func(description, float64, ...string)) {
	for _, l := range s.Loops {
		tell(runs, float64(l.Runs), l.Name)
		tell(failures, float64(l.Failures), l.Name)
		if !l.Success.IsZero() {
			tell(success, float64(l.Success.UnixMilli())/1000, l.Name)
		}
	}
	for _, w := range s.Watches {
		tell(objects, float64(w.Objects), w.Kind)
		tell(failing, truth(w.Failing || !w.Synced), w.Kind)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
