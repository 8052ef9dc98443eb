package datapath

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/bench/report"
)

// rowsEnv names the file that BenchmarkVerdict writes its rows to, for make
// bench.
const rowsEnv = "SIGNET_BENCH_ROWS"

const (
	verdictBatches = 41  // pairs, by turns
	verdictPackets = 400 // of a batch, each with other keys
)

// BenchmarkVerdict measures the nanoseconds that programs take in the kernel,
// by the kernel's own clock (BPF_ENABLE_STATS, Linux 5.8).
func BenchmarkVerdict(b *testing.B) {
	needKernel(b)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	must(b, err)
	defer stats.Close()
	parse := baselineParse(b)
	smallest := newVerdictCase(b, 100, 10, 1)
	var rows []report.Row
	compare := func(name, against string, most float64, subject, base timed) {
		row := report.Of(name, against, "ns", report.Target{AtMost: most}, byTurns(b, subject, base))
		row.Noise = report.Of(name, "", "ns", report.Target{}, byTurns(b, base, base)).Ratio
		rows = append(rows, row.Judge())
	}
	compare("verdict-established", "parsing alone", 3, smallest.established, parse)
	compare("verdict-hash-lookup", "parsing alone", 0, baselineHash(b), parse)
	compare("verdict-lpm-lookup-64k", "a look-up among 64", 0, baselineLPM(b, 1<<16), baselineLPM(b, 64))
	for _, size := range []struct {
		name                         string
		identities, policies, ranges int
		most                         float64
	}{
		{"verdict-first-1000-policies", 100, 1000, 1, 1.1},
		{"verdict-first-10000-policies", 100, 10000, 1, 1.1},
		{"verdict-first-10000-identities", 10000, 10, 1, 1.5},
		{"verdict-first-60000-identities", 60000, 10, 1, 1.5},
		{"verdict-first-1000-port-ranges", 100, 10, 1000, 1.1},
	} {
		compare(size.name, "100 identities, 10 policies, 1 range", size.most,
			newVerdictCase(b, size.identities, size.policies, size.ranges).first, smallest.first)
	}
	writeRows(b, rows)
}

func writeRows(b *testing.B, rows []report.Row) {
	for _, row := range rows {
		b.Logf("%s: %.0f ns to %.0f ns, ratio %.3f", row.Case, row.Figure, row.Baseline, row.Ratio)
	}
	path := os.Getenv(rowsEnv)
	if path == "" {
		return
	}
	data, err := json.Marshal(rows)
	must(b, err)
	must(b, os.WriteFile(path, data, 0o600))
}

// timed gives the nanoseconds that a program takes for a packet: the mean of
// one batch.
type timed func() float64

// byTurns lets each side begin every other round, after one that does not count.
func byTurns(b *testing.B, subject, base timed) []report.Pair {
	b.Helper()
	pairs := make([]report.Pair, verdictBatches)
	for i := range pairs {
		sides := [2]timed{subject, base}
		var took [2]float64
		for _, which := range [2]int{i % 2, 1 - i%2} {
			took[which] = sides[which]()
		}
		pairs[i] = report.Pair{Figure: took[0], Baseline: took[1]}
	}
	return pairs[1:]
}

// timeRuns runs a program once for each frame.
func timeRuns(b *testing.B, program *ebpf.Program, frames [][]byte, in skb) float64 {
	b.Helper()
	before, err := program.Stats()
	must(b, err)
	out := make([]byte, 256)
	for _, frame := range frames {
		_, err := program.Run(&ebpf.RunOptions{Data: frame, DataOut: out, Context: in})
		must(b, err)
	}
	after, err := program.Stats()
	must(b, err)
	return float64(after.Runtime-before.Runtime) / float64(after.RunCount-before.RunCount)
}

// verdictCase is a node that receives from pods of another one.
type verdictCase struct {
	*node
	b       *testing.B
	senders []identity.ID
	ports   []uint16 // that policy admits
	opening [][]byte // of flows from the other node's pods
	later   [][]byte // of flows that the host stack delivers
	in      skb
}

func newVerdictCase(b *testing.B, identities, policies, ranges int) *verdictCase {
	b.Helper()
	cfg := testConfig(b)
	cfg.PinPath += fmt.Sprintf("_%d_%d_%d", identities, policies, ranges)
	c := &verdictCase{node: openNode(b, cfg), b: b}
	index := uint32(interfaces["overlay"])
	c.in = skb{Ifindex: index, IngressIfindex: index}
	ids, list := c.world(identities, policies, ranges)
	result := policy.Compile(ids, list)
	c.setPolicy(&result.Table)
	for _, ep := range []Endpoint{podA(), podB()} {
		ep.Identity = serverID
		if ep.Addr == podB().Addr {
			ep.Identity = openID
		}
		must(b, c.SetEndpoint(ep))
	}
	_, err := c.SetLocations(testLocations())
	must(b, err)
	c.openings()
	c.establish()
	return c
}

const (
	serverID = identity.ID(0x10000) // isolated
	openID   = identity.ID(0x10001) // not isolated
)

// world makes senders with labels of their own, and policies that isolate the
// server: each admits some of them.
func (c *verdictCase) world(identities, policies, ranges int) (map[identity.ID]identity.Set, []policy.Policy) {
	ids := map[identity.ID]identity.Set{serverID: roleOf("server"), openID: roleOf("open")}
	for n := range identities {
		id := identity.ID(0x20000 + n)
		ids[id] = roleOf(fmt.Sprint("client-", n))
		c.senders = append(c.senders, id)
	}
	ports := make([]policy.Port, 0, ranges)
	for n := range ranges {
		first := uint16(1024 + 60*n)
		ports = append(ports, policy.Port{Protocol: policy.TCP, First: first, Last: first + 1})
		c.ports = append(c.ports, first)
	}
	var list []policy.Policy
	for n := range policies {
		roles := []string{fmt.Sprint("nobody-", n)}
		for sender := n; sender < identities; sender += policies {
			roles = append(roles, fmt.Sprint("client-", sender))
		}
		list = append(list, policy.Policy{
			Namespace: "test", Name: fmt.Sprint("policy-", n), IsolatesIngress: true, Subjects: in("role", "server"),
			Ingress: []policy.Rule{{Peers: []policy.Peer{{Pods: new(in("role", roles...))}}, Ports: ports}},
		})
	}
	return ids, list
}

func roleOf(role string) identity.Set {
	return identity.NewSet("test", nil, map[string]string{"role": role}, identity.DefaultIgnore())
}

func in(key string, values ...string) identity.Selector {
	return identity.Selector{Requirements: []identity.Requirement{{Key: key, Operator: identity.In, Values: values}}}
}

// openings builds the first packet of each of many flows.
func (c *verdictCase) openings() {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range verdictPackets {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, 2, byte(1 + random.IntN(250))}), uint16(10000+n)).String()
		to := fmt.Sprintf("%s:%d", addrA, c.ports[random.IntN(len(c.ports))])
		packet := tag(c.b, tcp(from, to, "S").bytes(), farPrefix, c.senders[random.IntN(len(c.senders))], false)
		c.opening = append(c.opening, ethernet(mac(200), mac(201), layers.EthernetTypeIPv6, packet))
	}
}

// establish opens flows of the world, and builds a later packet of each.
func (c *verdictCase) establish() {
	ep := podB()
	var opening [][]byte
	for n, addr := range randomAddrs(verdictPackets) {
		from, to := netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(10000+n)).String(), addrB+":80"
		for flags, frames := range map[string]*[][]byte{"S": &opening, "A": &c.later} {
			*frames = append(*frames, ethernet(ep.HostMAC, ep.MAC, layers.EthernetTypeIPv4, tcp(from, to, flags).bytes()))
		}
	}
	timeRuns(c.b, c.objs.ToPod, opening, c.delivered())
}

// delivered is a packet that came by the uplink.
func (c *verdictCase) delivered() skb {
	return skb{Ifindex: uint32(podB().IfIndex), IngressIfindex: uint32(interfaces["uplink"])}
}

// first is a packet that opens a flow, and is judged, rewritten and redirected.
func (c *verdictCase) first() float64 {
	return timeRuns(c.b, c.objs.FromOverlay, c.opening, c.in)
}

// established is a packet of a flow that was judged, at a hook that changes
// nothing of it.
func (c *verdictCase) established() float64 {
	return timeRuns(c.b, c.objs.ToPod, c.later, c.delivered())
}

// randomAddrs are IPv4 addresses, always the same.
func randomAddrs(count int) [][4]byte {
	random := rand.New(rand.NewPCG(3, 4))
	seen := map[[4]byte]bool{}
	for len(seen) < count {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], random.Uint32())
		seen[a] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b [4]byte) int { return slices.Compare(a[:], b[:]) })
}
