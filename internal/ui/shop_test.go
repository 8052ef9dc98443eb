package ui_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
)

// shop is a cluster with about so many workloads that talk to each other.
func shop(workloads int) *flowmap.Map {
	m := flowmap.New()
	m.SetNode("worker-1", flowmap.Live, "")
	m.SetNode("worker-2", flowmap.Live, "")
	if workloads == 0 {
		return m
	}
	tiers := []string{"web", "cart", "orders", "payments", "stock", "mail", "search"}
	inv := flowmap.Inventory{Owners: map[string]flowmap.Owner{}, Isolating: func(id identity.ID) []flowmap.Isolation {
		if id%3 == 0 {
			return []flowmap.Isolation{{Policy: "shop-0/deny", Direction: api.Ingress}}
		}
		return nil
	}}
	var ends []api.End
	for i := range workloads {
		ns, name := fmt.Sprintf("shop-%d", i/len(tiers)), tiers[i%len(tiers)]
		for r := range 1 + i%3 {
			pod := fmt.Sprintf("%s-6c9f-%d", name, r)
			e := api.Endpoint{
				Namespace: ns, Pod: pod, Node: fmt.Sprintf("worker-%d", 1+r%2), Addr: netip.AddrFrom4([4]byte{10, 244, byte(i), byte(r + 2)}),
				Identity: identity.ID(1000 + i), Labels: map[string]string{"app": name, "tier": "x"},
			}
			inv.Pods = append(inv.Pods, e)
			inv.Owners[ns+"/"+pod] = flowmap.Owner{Kind: []string{"Deployment", "StatefulSet", "DaemonSet"}[i%3], Name: name}
			if r == 0 {
				ends = append(ends, api.End{Addr: e.Addr, Identity: e.Identity, Namespace: ns, Pod: pod, Labels: e.Labels})
			}
		}
	}
	m.SetInventory(inv)
	now := time.Now()
	add := func(a, b api.End, port uint16, verdict string, n int) {
		b.Port = port
		for k := range n {
			a.Port = uint16(40000 + k)
			f := api.Flow{Time: now.Add(-time.Duration(k) * time.Second), Node: "worker-1", Verdict: verdict, Protocol: "TCP", Src: a, Dst: b, TCPFlags: "SYN", Revision: 4}
			if verdict == api.Dropped {
				f.Reason, f.ReasonText = "policy-ingress", "the receiver's policies do not admit it"
				f.Policies = []api.PolicyPart{{Namespace: b.Namespace, Name: "deny", Direction: api.Ingress}}
			}
			m.Add(&f)
		}
	}
	world := api.End{Addr: netip.MustParseAddr("192.0.2.7"), Identity: identity.World, IdentityName: "world"}
	for i := range ends {
		base := i / len(tiers) * len(tiers)
		at := func(n int) api.End { return ends[min(base+n, len(ends)-1)] }
		switch i % len(tiers) {
		case 0:
			add(world, ends[i], 443, api.Admitted, 31)
			add(ends[i], at(1), 8080, api.Admitted, 22)
			add(ends[i], at(2), 8080, api.Admitted, 12)
			add(ends[i], at(6), 9200, api.Admitted, 5)
		case 1:
			add(ends[i], at(4), 5432, api.Admitted, 9)
		case 2:
			add(ends[i], at(3), 8443, api.Admitted, 8)
			add(ends[i], at(5), 25, api.Admitted, 3)
			add(ends[i], at(4), 5432, api.Admitted, 3)
		case 3:
			add(ends[i], world, 443, api.Admitted, 7)
		case 5:
			add(ends[i], at(4), 5432, api.Dropped, 6)
			add(ends[i], ends[0], 80, api.Forwarded, 6)
		case 6:
			add(ends[i], ends[(i+9)%len(ends)], 5432, api.Dropped, 4)
		}
	}
	return m
}

// sampleFlow is a flow that audit mode let pass.
func sampleFlow() *api.Flow {
	return &api.Flow{
		Time: time.Now(), Node: "worker-1", Verdict: api.Audited, Protocol: "TCP", Reason: "policy-ingress",
		Src: api.End{Addr: netip.MustParseAddr("10.244.9.9"), Port: 40000, Identity: 78, Namespace: "late", Pod: "late-1"},
		Dst: api.End{Addr: netip.MustParseAddr("10.244.0.2"), Port: 80, Identity: 1000, Namespace: "shop-0", Pod: "web-6c9f-0"},
	}
}
