package oracle

import (
	"net/netip"
	"testing"
)

// The concert: the policy on the vip admits security on TCP 80, and lets the
// vip out to the backend on TCP 8080.
func TestConcert(t *testing.T) {
	role := func(name string) *LabelSelector { return &LabelSelector{MatchLabels: map[string]string{"role": name}} }
	c := Cluster{Policies: []NetworkPolicy{{
		Namespace: "concert", Name: "vip", PodSelector: *role("vip"),
		Ingress: []Rule{{Peers: []Peer{{PodSelector: role("security")}}, Ports: []Port{{Port: 80}}}},
		Egress:  []Rule{{Peers: []Peer{{PodSelector: role("backend")}}, Ports: []Port{{Protocol: "TCP", Port: 8080}}}},
	}}}
	for _, name := range []string{"vip", "security", "backend", "stranger"} {
		c.Pods = append(c.Pods, Pod{Namespace: "concert", Name: name, Labels: map[string]string{"role": name}})
	}
	for _, want := range []struct {
		from, to, protocol string
		port               uint16
		admitted           bool
	}{
		{"security", "vip", "TCP", 80, true},
		{"security", "vip", "TCP", 81, false},
		{"security", "vip", "UDP", 80, false},
		{"security", "vip", "ICMP", 0, false},
		{"stranger", "vip", "TCP", 80, false},
		{"backend", "vip", "TCP", 80, false},
		{"vip", "backend", "TCP", 8080, true},
		{"vip", "backend", "TCP", 80, false},
		{"vip", "security", "TCP", 8080, false},
		{"stranger", "backend", "TCP", 8080, true},
		{"stranger", "security", "ICMP", 0, true},
		{"", "vip", "TCP", 80, false},
		{"vip", "", "TCP", 8080, false},
		{"", "backend", "UDP", 1, true},
	} {
		end := func(name string) End {
			if name == "" {
				return End{Kind: World, Addr: netip.MustParseAddr("192.0.2.1")}
			}
			return End{Pod: "concert/" + name}
		}
		p := Packet{From: end(want.from), To: end(want.to), Protocol: want.protocol, Port: want.port}
		if egress, ingress := c.Judge(p); (egress && ingress) != want.admitted {
			t.Errorf("egress %v, ingress %v, want admitted %v:\n%s", egress, ingress, want.admitted, p)
		}
	}
}
