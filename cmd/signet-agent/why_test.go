package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

// whyMaps are a kernel's maps that hold a table.
type whyMaps struct{ table policy.Table }

var (
	vipAddr, guardAddr = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	strangeAddr        = netip.MustParseAddr("10.0.0.3")
)

func (m whyMaps) KernelTable(*policy.Query) (*policy.Table, error)          { return &m.table, nil }
func (m whyMaps) PortNames(netip.AddrPort, policy.Protocol) []policy.NameID { return nil }
func (m whyMaps) Revision() uint32                                          { return 7 }

func (m whyMaps) KernelIdentity(addr netip.Addr) (identity.ID, error) {
	return map[netip.Addr]identity.ID{vipAddr: vipID}[addr], nil
}

func (m whyMaps) Place(addr netip.Addr) (datapath.LocationKind, error) {
	if addr.Is4() && addr.As4()[0] == 10 {
		return datapath.RemotePods, nil
	}
	return 0, nil
}

func newExplainer(inKernel *policy.Result) *explainer {
	return &explainer{
		node: "worker", kernel: whyMaps{inKernel.Table}, sets: concertSets(),
		explain: concert(policy.Port{Protocol: policy.TCP, First: 80, Last: 80}).Explain,
	}
}

func TestWhy(t *testing.T) {
	same := concert(policy.Port{Protocol: policy.TCP, First: 80, Last: 80})
	e := newExplainer(same)
	admitted, err := e.why(api.WhyQuery{From: guardAddr, FromID: guardID, To: vipAddr, Protocol: "tcp", Port: 80})
	if err != nil || admitted.Verdict != api.Admitted || !strings.Contains(admitted.Ingress.Text, "concert/vip ingress[1]") {
		t.Errorf("admitted: %+v, %v", admitted, err)
	}
	if k := admitted.Kernel; k.Verdict != api.Admitted || k.Revision != 7 || len(k.Differences) != 0 {
		t.Errorf("kernel: %+v", k)
	}
	denied, err := e.why(api.WhyQuery{From: strangeAddr, FromID: strangeID, To: vipAddr, Protocol: "tcp", Port: 80})
	if err != nil || denied.Verdict != api.Dropped || !denied.Egress.Admitted || denied.Ingress.Admitted {
		t.Errorf("denied: %+v, %v", denied, err)
	}
	var vip *api.WhyPolicy
	for n, p := range denied.Ingress.Policies {
		if p.Name == "vip" {
			vip = &denied.Ingress.Policies[n]
		}
	}
	if vip == nil || len(vip.Rules) != 2 || !strings.Contains(strings.Join(vip.Rules[1].Misses, ";"), "role=stranger, want role=security") {
		t.Errorf("the label that did not match: %+v", vip)
	}
	world, err := e.why(api.WhyQuery{From: netip.MustParseAddr("192.0.2.1"), To: vipAddr, Protocol: "udp", Port: 53})
	if err != nil || world.Verdict != api.Admitted || world.From.IdentityName != "world" {
		t.Errorf("world: %+v, %v", world, err)
	}
	if _, err := e.why(api.WhyQuery{From: guardAddr, To: vipAddr, Protocol: "tcp", Port: 80}); err == nil {
		t.Error("an unknown pod of another node is no error")
	}
}

// Maps that hold something else than what was compiled are told of.
func TestWhyTellsDifferences(t *testing.T) {
	e := newExplainer(concert(policy.Port{Protocol: policy.TCP, First: 90, Last: 90}))
	why, err := e.why(api.WhyQuery{From: guardAddr, FromID: guardID, To: vipAddr, Protocol: "tcp", Port: 80})
	if err != nil || why.Verdict != api.Admitted || why.Kernel.Verdict != api.Dropped || len(why.Kernel.Differences) < 2 {
		t.Errorf("got %+v, %v", why, err)
	}
}

func TestWhyInAuditMode(t *testing.T) {
	r := concert(policy.Port{Protocol: policy.TCP, First: 80, Last: 80})
	r.Audit(func(string) bool { return true })
	e := newExplainer(r)
	e.explain = r.Explain
	why, err := e.why(api.WhyQuery{From: strangeAddr, FromID: strangeID, To: vipAddr, Protocol: "tcp", Port: 80})
	if err != nil || why.Verdict != api.Audited || why.Kernel.Verdict != api.Audited || len(why.Kernel.Differences) != 0 {
		t.Errorf("got %+v, %v", why, err)
	}
}
