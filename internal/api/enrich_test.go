package api_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

func testNames() api.Names {
	sets := map[identity.ID]identity.Set{
		1001: {Namespace: "concert", PodLabels: map[string]string{"role": "backend"}},
		1002: {Namespace: "hall", PodLabels: map[string]string{"role": "vip"}},
		1003: {Namespace: "hall", PodLabels: map[string]string{"role": "old"}},
	}
	pods := map[netip.Addr]api.Endpoint{
		netip.MustParseAddr("10.1.1.5"): {Namespace: "hall", Pod: "vip", Identity: 1002},
		netip.MustParseAddr("10.1.1.6"): {Namespace: "new", Pod: "fresh", Identity: 1004},
	}
	return api.Names{
		Node: "worker",
		Set:  func(id identity.ID) (identity.Set, bool) { set, ok := sets[id]; return set, ok },
		Pod:  func(addr netip.Addr) (api.Endpoint, bool) { pod, ok := pods[addr]; return pod, ok },
	}
}

func TestEnrich(t *testing.T) {
	got := testNames().Enrich(api.Event{
		Hook: "from_overlay", Verdict: api.Dropped, Reason: "policy-ingress", ReasonText: "no", Revision: 7,
		Protocol: 6, TCPFlags: 0x12, Src: netip.MustParseAddrPort("10.1.0.4:40000"), Dst: netip.MustParseAddrPort("10.1.1.5:80"),
		SrcIdentity: 1001, DstIdentity: 1002, Bytes: 60,
	})
	want := api.Flow{
		Node: "worker", Direction: api.Ingress, Hook: "from_overlay", Verdict: api.Dropped, Reason: "policy-ingress", ReasonText: "no", Revision: 7,
		Protocol: "TCP", TCPFlags: "SYN,ACK", Bytes: 60,
		Src: api.End{
			Addr: netip.MustParseAddr("10.1.0.4"), Port: 40000, Identity: 1001,
			Namespace: "concert", Labels: map[string]string{"role": "backend"},
		},
		Dst: api.End{
			Addr: netip.MustParseAddr("10.1.1.5"), Port: 80, Identity: 1002,
			Namespace: "hall", Pod: "vip", Labels: map[string]string{"role": "vip"},
		},
	}
	if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEnrichEnds(t *testing.T) {
	for name, test := range map[string]struct {
		addr        string
		id          identity.ID
		src, dst    string // namespace/pod
		dstIdentity identity.ID
		name        string
	}{
		"its pod":                {addr: "10.1.1.5", id: 1002, src: "hall/vip", dst: "hall/vip", dstIdentity: 1002},
		"an earlier identity":    {addr: "10.1.1.5", id: 1003, src: "hall/vip", dst: "hall/vip", dstIdentity: 1003},
		"another's old address":  {addr: "10.1.1.5", id: 1001, src: "concert/", dst: "concert/", dstIdentity: 1001},
		"not asked by the hook":  {addr: "10.1.1.5", id: 0, src: "/", dst: "hall/vip", dstIdentity: 1002, name: "unknown"},
		"labels not known yet":   {addr: "10.1.1.6", id: 1004, src: "new/fresh", dst: "new/fresh", dstIdentity: 1004},
		"the world":              {addr: "192.0.2.1", id: identity.World, src: "/", dst: "/", dstIdentity: identity.World, name: "world"},
		"a host on a pod's addr": {addr: "10.1.1.5", id: identity.Host, src: "/", dst: "/", dstIdentity: identity.Host, name: "host"},
		"an unknown number":      {addr: "10.9.9.9", id: 4242, src: "/", dst: "/", dstIdentity: 4242},
	} {
		at := netip.AddrPortFrom(netip.MustParseAddr(test.addr), 1)
		got := testNames().Enrich(api.Event{Src: at, Dst: at, SrcIdentity: test.id, DstIdentity: test.id, Protocol: 99})
		if src := got.Src.Namespace + "/" + got.Src.Pod; src != test.src || got.Src.Identity != test.id || got.Src.IdentityName != test.name {
			t.Errorf("%s: source %q, identity %v %q; want %q, %v %q",
				name, src, got.Src.Identity, got.Src.IdentityName, test.src, test.id, test.name)
		}
		if dst := got.Dst.Namespace + "/" + got.Dst.Pod; dst != test.dst || got.Dst.Identity != test.dstIdentity {
			t.Errorf("%s: destination %q, identity %v; want %q, %v", name, dst, got.Dst.Identity, test.dst, test.dstIdentity)
		}
		if got.Protocol != "protocol-99" {
			t.Errorf("%s: protocol %q", name, got.Protocol)
		}
	}
}
