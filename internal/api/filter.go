package api

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// Filter selects flows. Of what concerns the ends, one end has to fit all;
// zero fields fit everything.
type Filter struct {
	Namespace string // of an end
	Pod       string // "namespace/name", or a name in any namespace
	// PodAddrs are addresses of Pod. An end that the node cannot name fits
	// Pod if it has one of them.
	PodAddrs []netip.Addr
	Identity *identity.ID
	Labels   map[string]string // of an end's pod; all must be equal

	// Policy that decided: "namespace/name", or a name in any namespace.
	Policy   string
	Verdict  string
	Reason   string // name of a drop reason
	Protocol string // in any case
	Port     uint16 // of either end or of the Service
}

// Match reports whether the filter selects a flow.
func (f Filter) Match(flow *Flow) bool {
	return f.matchVerdict(flow) && f.matchTraffic(flow) &&
		(!f.aboutEnds() || f.matchEnd(&flow.Src) || f.matchEnd(&flow.Dst))
}

func (f Filter) matchVerdict(flow *Flow) bool {
	return (f.Verdict == "" || f.Verdict == flow.Verdict) && (f.Reason == "" || f.Reason == flow.Reason) &&
		(f.Policy == "" || slices.ContainsFunc(flow.Policies, f.matchPolicy))
}

func (f Filter) matchPolicy(p PolicyPart) bool {
	return f.Policy == p.Namespace+"/"+p.Name || f.Policy == p.Name
}

func (f Filter) matchTraffic(flow *Flow) bool {
	if f.Protocol != "" && !strings.EqualFold(f.Protocol, flow.Protocol) {
		return false
	}
	return f.Port == 0 || f.Port == flow.Src.Port || f.Port == flow.Dst.Port || f.Port == flow.Service.Port()
}

func (f Filter) aboutEnds() bool {
	return f.Namespace != "" || f.Pod != "" || f.Identity != nil || len(f.Labels) > 0
}

func (f Filter) matchEnd(end *End) bool {
	if f.Namespace != "" && f.Namespace != end.Namespace || f.Identity != nil && *f.Identity != end.Identity {
		return false
	}
	for key, value := range f.Labels {
		if got, ok := end.Labels[key]; !ok || got != value {
			return false
		}
	}
	return f.Pod == "" || f.matchPod(end)
}

func (f Filter) matchPod(end *End) bool {
	if end.Pod == "" {
		return slices.Contains(f.PodAddrs, end.Addr)
	}
	namespace, name, qualified := strings.Cut(f.Pod, "/")
	if !qualified {
		return end.Pod == f.Pod
	}
	return end.Pod == name && end.Namespace == namespace
}
