package flowmap

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/signet-cni/signet/internal/api"
)

// Edge is all flows from one workload to another that met the same verdict.
type Edge struct {
	ID      string    `json:"id"`
	From    string    `json:"from"` // who opened the flows
	To      string    `json:"to"`
	Verdict string    `json:"verdict"` // as of a flow, less api.Over
	Count   uint64    `json:"count"`   // verdicts
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	// Settled: the edge is what senders saw of flows that their receivers have
	// judged; another edge tells how.
	Settled   bool        `json:"settled,omitempty"`
	Sent      api.Carried `json:"sent"`                // by flows that have ended, from From to To
	Answered  api.Carried `json:"answered"`            // and back
	Cases     []Case      `json:"cases"`               // the latest first
	Uncounted uint64      `json:"uncounted,omitempty"` // verdicts of cases beyond the bound
	Samples   []Sample    `json:"samples"`             // latest flows, the latest first

	version uint64
}

// Case is one kind of flow of an edge.
type Case struct {
	Protocol   string           `json:"protocol"`
	Port       uint16           `json:"port,omitempty"`
	Service    string           `json:"service,omitempty"` // namespace/name:port, or the address
	Reason     string           `json:"reason,omitempty"`
	ReasonText string           `json:"reasonText,omitempty"`
	Policies   []api.PolicyPart `json:"policies,omitempty"`
	Count      uint64           `json:"count"`
	Last       time.Time        `json:"last"`
}

// Sample is one flow.
type Sample struct {
	Time     time.Time      `json:"time"`
	Node     string         `json:"node"`
	Protocol string         `json:"protocol"`
	Src      netip.AddrPort `json:"src"`
	Dst      netip.AddrPort `json:"dst"`
	SrcPod   string         `json:"srcPod,omitempty"` // namespace/name
	DstPod   string         `json:"dstPod,omitempty"`
	TCPFlags string         `json:"tcpFlags,omitempty"`
	Revision uint32         `json:"revision"`
}

// opened gives the flow's ends as of its first packet.
func opened(f *api.Flow) (from, to *api.End) {
	if f.Reply {
		return &f.Dst, &f.Src
	}
	return &f.Src, &f.Dst
}

// count takes in a verdict.
func (e *Edge) count(f *api.Flow) {
	e.Count++
	if e.First.IsZero() || f.Time.Before(e.First) {
		e.First = f.Time
	}
	if f.Time.After(e.Last) {
		e.Last = f.Time
	}
	e.countCase(newCase(f))
	e.Samples = slices.Insert(e.Samples, 0, newSample(f))
	e.Samples = e.Samples[:min(len(e.Samples), maxSamples)]
}

func (e *Edge) countCase(c Case) {
	at := slices.IndexFunc(e.Cases, func(known Case) bool { return known.same(c) })
	switch {
	case at >= 0:
		c.Count = e.Cases[at].Count + 1
		e.Cases = slices.Delete(e.Cases, at, at+1)
	case len(e.Cases) == maxCases:
		e.Uncounted += e.Cases[maxCases-1].Count
		e.Cases = e.Cases[:maxCases-1]
	}
	e.Cases = slices.Insert(e.Cases, 0, c)
}

// end takes in what a flow carried.
func (e *Edge) end(carried *api.Ended) {
	e.Sent.Packets += carried.Sent.Packets
	e.Sent.Bytes += carried.Sent.Bytes
	e.Answered.Packets += carried.Answered.Packets
	e.Answered.Bytes += carried.Answered.Bytes
}

func newCase(f *api.Flow) Case {
	_, to := opened(f)
	c := Case{
		Protocol: f.Protocol, Port: to.Port, Reason: f.Reason, ReasonText: f.ReasonText,
		Policies: f.Policies, Count: 1, Last: f.Time,
	}
	switch {
	case f.ServiceName != "":
		c.Service = fmt.Sprintf("%s:%d", f.ServiceName, f.Service.Port())
	case f.Service.IsValid():
		c.Service = f.Service.String()
	}
	return c
}

func (c Case) same(other Case) bool {
	return c.Protocol == other.Protocol && c.Port == other.Port && c.Service == other.Service && c.Reason == other.Reason &&
		slices.EqualFunc(c.Policies, other.Policies, func(a, b api.PolicyPart) bool {
			return a.Namespace == b.Namespace && a.Name == b.Name && a.Direction == b.Direction && slices.Equal(a.Rules, b.Rules)
		})
}

func newSample(f *api.Flow) Sample {
	from, to := opened(f)
	return Sample{
		Time: f.Time, Node: f.Node, Protocol: f.Protocol, TCPFlags: f.TCPFlags, Revision: f.Revision,
		Src: netip.AddrPortFrom(from.Addr, from.Port), Dst: netip.AddrPortFrom(to.Addr, to.Port),
		SrcPod: podName(from), DstPod: podName(to),
	}
}

func podName(end *api.End) string {
	if end.Pod == "" {
		return ""
	}
	return end.Namespace + "/" + end.Pod
}
