package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

const (
	vipID     = identity.ID(1000)
	guardID   = identity.ID(1001)
	strangeID = identity.ID(1002)
)

func concertSets() map[identity.ID]identity.Set {
	sets := map[identity.ID]identity.Set{}
	for id, role := range map[identity.ID]string{vipID: "vip", guardID: "security", strangeID: "stranger"} {
		sets[id] = identity.NewSet("concert", nil, map[string]string{"role": role}, identity.DefaultIgnore())
	}
	return sets
}

func role(name string) *identity.Selector {
	return &identity.Selector{Requirements: []identity.Requirement{{Key: "role", Operator: identity.In, Values: []string{name}}}}
}

// concert is the policy of the example: security reaches the vip on a port.
func concert(port policy.Port) *policy.Result {
	result := policy.Compile(concertSets(), []policy.Policy{
		{
			Namespace: "concert", Name: "vip", Subjects: *role("vip"), IsolatesIngress: true,
			Ingress: []policy.Rule{{Ports: []policy.Port{{Protocol: policy.UDP}}}, {
				Peers: []policy.Peer{{Pods: role("security")}}, Ports: []policy.Port{port},
			}},
		},
		{Namespace: "concert", Name: "quiet", Subjects: *role("vip"), IsolatesIngress: true},
	})
	return &result
}

func event(from, to identity.ID, verdict datapath.Verdict, reason datapath.Reason) datapath.Event {
	return datapath.Event{
		Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"),
		Protocol: 6, Verdict: verdict, Reason: reason, SrcIdentity: from, DstIdentity: to,
	}
}

func noNames(netip.AddrPort, policy.Protocol) []policy.NameID { return nil }

func TestPartsOfVerdicts(t *testing.T) {
	var h history
	h.add(concert(policy.Port{Protocol: policy.TCP, First: 80, Last: 80}).Explain)
	admits := []api.PolicyPart{{Namespace: "concert", Name: "vip", Direction: "ingress", Rules: []int{1}}}
	isolates := []api.PolicyPart{
		{Namespace: "concert", Name: "quiet", Direction: "ingress"}, {Namespace: "concert", Name: "vip", Direction: "ingress"},
	}
	answer := event(vipID, strangeID, datapath.Dropped, datapath.PolicyIngress)
	answer.Src, answer.Dst = answer.Dst, answer.Src
	for _, c := range []struct {
		name string
		e    datapath.Event
		want []api.PolicyPart
	}{
		{"admitted", event(guardID, vipID, datapath.Admitted, 0), admits},
		{"denied", event(strangeID, vipID, datapath.Dropped, datapath.PolicyIngress), isolates},
		{"an answer of a flow that is judged again", answer, isolates},
		{"dropped for another reason", event(strangeID, vipID, datapath.Dropped, 1), nil},
		{"the other node judges", event(guardID, vipID, datapath.Forwarded, 0), nil},
		{"judged otherwise than the policy that is known", event(guardID, vipID, datapath.Dropped, datapath.PolicyEgress), nil},
		{"from the node", event(identity.Host, vipID, datapath.Admitted, 0), nil},
	} {
		if diff := cmp.Diff(c.want, h.parts(c.e, noNames)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A verdict from just before a change is explained by what held then.
func TestPartsRememberTheLastPolicy(t *testing.T) {
	var h history
	if parts := h.parts(event(guardID, vipID, datapath.Admitted, 0), noNames); parts != nil {
		t.Errorf("without any policy: %v", parts)
	}
	h.add(concert(policy.Port{Protocol: policy.TCP, First: 80, Last: 80}).Explain)
	h.add(concert(policy.Port{Protocol: policy.TCP, First: 90, Last: 90}).Explain)
	if parts := h.parts(event(guardID, vipID, datapath.Admitted, 0), noNames); len(parts) != 1 {
		t.Errorf("admitted by the policy before: %v", parts)
	}
	h.add(concert(policy.Port{Protocol: policy.TCP, First: 90, Last: 90}).Explain)
	if parts := h.parts(event(guardID, vipID, datapath.Admitted, 0), noNames); parts != nil {
		t.Errorf("admitted by a policy that is forgotten: %v", parts)
	}
}

func TestPartsOfNamedPorts(t *testing.T) {
	var h history
	h.add(concert(policy.Port{Protocol: policy.TCP, Name: "http"}).Explain)
	e := event(guardID, vipID, datapath.Admitted, 0)
	named := func(netip.AddrPort, policy.Protocol) []policy.NameID { return []policy.NameID{policy.NameIDOf("http")} }
	if parts := h.parts(e, named); len(parts) != 1 {
		t.Errorf("got %v", parts)
	}
}
