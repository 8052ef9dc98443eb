package kube

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
)

// decodeYAML reads one object of any kind.
func decodeYAML[T any](t *testing.T, text string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// kept passes an object through a cache's transform.
func kept[S source, T any](t *testing.T, parse func(S) (T, []Problem), object S) *item[T] {
	t.Helper()
	out, err := keep(parse)(object)
	if err != nil {
		t.Fatal(err)
	}
	again, err := keep(parse)(out)
	if err != nil || again != out {
		t.Fatalf("the transform is not idempotent: %v, %v", again, err)
	}
	return out.(*item[T])
}

// join parses a Service's spec and the slices behind it, seen from node-a.
func join(t *testing.T, spec string, endpointSlices ...string) ([]service.Service, []Problem) {
	t.Helper()
	front := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}}
	front.Spec = *decodeYAML[corev1.ServiceSpec](t, spec)
	var behind []*item[serviceSlice]
	for _, text := range endpointSlices {
		in := decodeYAML[discoveryv1.EndpointSlice](t, text)
		in.Namespace = "shop"
		if in.Labels == nil {
			in.Labels = map[string]string{discoveryv1.LabelServiceName: "db"}
		}
		behind = append(behind, kept(t, sliceParser("node-a"), in))
	}
	return joinServices([]*item[serviceFront]{kept(t, parseService, front)}, behind)
}

func tcp(addr string, port uint16) service.Frontend {
	return service.Frontend{Addr: netip.MustParseAddr(addr), Port: port, Protocol: policy.TCP}
}

func addrPorts(texts ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, text := range texts {
		out = append(out, netip.MustParseAddrPort(text))
	}
	return out
}

const twoPods = `
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints:
- {addresses: [10.244.1.7], nodeName: node-b}
- {addresses: [10.244.0.9], nodeName: node-a, conditions: {ready: true}}`

func TestServices(t *testing.T) {
	db := func(edit func(*service.Service)) []service.Service {
		s := service.Service{
			Namespace: "shop", Name: "db", Port: "sql",
			Frontends: []service.Frontend{tcp("10.96.0.5", 5432)},
			Backends:  addrPorts("10.244.0.9:5432", "10.244.1.7:5432"),
		}
		if edit != nil {
			edit(&s)
		}
		return []service.Service{s}
	}
	const ports = `ports: [{name: sql, port: 5432}]`
	for _, test := range []struct {
		name, spec string
		slices     []string
		want       []service.Service
	}{
		{"cluster IP", `{clusterIP: 10.96.0.5, ` + ports + `}`, []string{twoPods}, db(nil)},
		{"clusterIPs count before clusterIP", `{clusterIP: 10.96.0.5, clusterIPs: [10.96.0.5], ` + ports + `}`, []string{twoPods}, db(nil)},
		{"no endpoints", `{clusterIP: 10.96.0.5, ` + ports + `}`, nil, db(func(s *service.Service) { s.Backends = nil })},
		{"the same slice twice", `{clusterIP: 10.96.0.5, ` + ports + `}`, []string{twoPods, twoPods}, db(nil)},
		{"another service's slice", `{clusterIP: 10.96.0.5, ` + ports + `}`, []string{
			`{metadata: {labels: {kubernetes.io/service-name: other}}, ` + twoPods[1:strings.Index(twoPods, "\nports")] + `, ports: [{name: sql, port: 1}], endpoints: [{addresses: [10.244.0.1]}]}`,
		}, db(func(s *service.Service) { s.Backends = nil })},
		{"node port", `{clusterIP: 10.96.0.5, type: NodePort, ports: [{name: sql, port: 5432, nodePort: 30001}]}`, []string{twoPods}, db(func(s *service.Service) {
			s.Frontends = append(s.Frontends, tcp("0.0.0.0", 30001))
		})},
		{
			"node port of both families",
			`{clusterIP: 10.96.0.5, clusterIPs: [10.96.0.5, "fd10:96::5"], type: NodePort, ports: [{name: sql, port: 5432, nodePort: 30001}]}`,
			[]string{twoPods, `{addressType: IPv6, ports: [{name: sql, port: 5432}], endpoints: [{addresses: ["fd10:244:0:1::10"]}]}`},
			db(func(s *service.Service) {
				s.Frontends = append(s.Frontends, tcp("fd10:96::5", 5432), tcp("0.0.0.0", 30001), tcp("::", 30001))
				s.Backends = append(s.Backends, addrPorts("[fd10:244:0:1::10]:5432")...)
			}),
		},
		{
			"node port of IPv6", `{clusterIP: "fd10:96::5", type: NodePort, ports: [{name: sql, port: 5432, nodePort: 30001}]}`,
			[]string{`{addressType: IPv6, ports: [{name: sql, port: 5432}], endpoints: [{addresses: ["fd10:244:0:1::10"]}]}`},
			db(func(s *service.Service) {
				s.Frontends = []service.Frontend{tcp("fd10:96::5", 5432), tcp("::", 30001)}
				s.Backends = addrPorts("[fd10:244:0:1::10]:5432")
			}),
		},
		{"affinity", `{clusterIP: 10.96.0.5, sessionAffinity: ClientIP, ` + ports + `}`, []string{twoPods}, db(func(s *service.Service) {
			s.Affinity = 3 * time.Hour
		})},
		{"affinity with a time", `{clusterIP: 10.96.0.5, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 7}}, ` + ports + `}`, []string{twoPods}, db(func(s *service.Service) {
			s.Affinity = 7 * time.Second
		})},
		{"affinity None with a left-over time", `{clusterIP: 10.96.0.5, sessionAffinity: None, sessionAffinityConfig: {clientIP: {timeoutSeconds: 7}}, ` + ports + `}`, []string{twoPods}, db(nil)},
		{"internal traffic local", `{clusterIP: 10.96.0.5, internalTrafficPolicy: Local, ` + ports + `}`, []string{twoPods}, db(func(s *service.Service) {
			s.Backends = addrPorts("10.244.0.9:5432")
		})},
		{"external traffic local changes nothing for pods", `{clusterIP: 10.96.0.5, externalTrafficPolicy: Local, ` + ports + `}`, []string{twoPods}, db(nil)},
		{
			"internal traffic local with a node port", `{clusterIP: 10.96.0.5, internalTrafficPolicy: Local, ports: [{name: sql, port: 5432, nodePort: 30001}]}`,
			[]string{twoPods},
			append(
				db(func(s *service.Service) { s.Backends = addrPorts("10.244.0.9:5432") }),
				db(func(s *service.Service) { s.Frontends = []service.Frontend{tcp("0.0.0.0", 30001)} })...),
		},
		{"headless", `{clusterIP: None, ` + ports + `}`, []string{twoPods}, nil},
		{"no address yet", `{` + ports + `}`, []string{twoPods}, nil},
		{"external name", `{type: ExternalName, externalName: example.org, clusterIP: 10.96.0.5, ` + ports + `}`, []string{twoPods}, nil},
		{"port by name, not by number", `{clusterIP: 10.96.0.5, ports: [{name: sql, port: 80, targetPort: 5432}]}`, []string{twoPods}, db(func(s *service.Service) {
			s.Frontends = []service.Frontend{tcp("10.96.0.5", 80)}
		})},
		{"port of another protocol", `{clusterIP: 10.96.0.5, ports: [{name: sql, port: 53, protocol: UDP}]}`, []string{twoPods}, db(func(s *service.Service) {
			s.Frontends = []service.Frontend{{Addr: netip.MustParseAddr("10.96.0.5"), Port: 53, Protocol: policy.UDP}}
			s.Backends = nil
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := join(t, test.spec, test.slices...)
			equal(t, "services", got, test.want)
			checkProblem(t, problems, "")
		})
	}
}

func TestEndpointConditions(t *testing.T) {
	for _, test := range []struct {
		name, endpoints string
		want            []netip.AddrPort
	}{
		{"no conditions are ready", `[{addresses: [10.0.0.1]}]`, addrPorts("10.0.0.1:80")},
		{"not ready", `[{addresses: [10.0.0.1], conditions: {ready: false}}]`, nil},
		{"not ready, serving but not terminating", `[{addresses: [10.0.0.1], conditions: {ready: false, serving: true}}]`, nil},
		{"serving while terminating, alone", `[{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]`, addrPorts("10.0.0.1:80")},
		{"terminating, no longer serving", `[{addresses: [10.0.0.1], conditions: {ready: false, serving: false, terminating: true}}]`, nil},
		{"the ready one goes before", `[{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}, {addresses: [10.0.0.2]}]`, addrPorts("10.0.0.2:80")},
		{"publishNotReadyAddresses: ready says so", `[{addresses: [10.0.0.1], conditions: {ready: true, serving: false, terminating: true}}]`, addrPorts("10.0.0.1:80")},
		{"only the first address", `[{addresses: [10.0.0.1, 10.0.0.2]}]`, addrPorts("10.0.0.1:80")},
		{"no address", `[{addresses: []}]`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := join(t, `{clusterIP: 10.96.0.5, ports: [{port: 8080}]}`,
				`{addressType: IPv4, ports: [{port: 80, name: ""}], endpoints: `+test.endpoints+`}`)
			equal(t, "backends", got[0].Backends, test.want)
			checkProblem(t, problems, "")
		})
	}
}

// Each family falls back to terminating endpoints by itself.
func TestDualStack(t *testing.T) {
	got, problems := join(t, `{clusterIPs: [10.96.0.5, "fd00:96::5"], ports: [{port: 80}]}`,
		`{addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1]}]}`,
		`{addressType: IPv6, ports: [{port: 80}], endpoints: [{addresses: ["fd00::1"], conditions: {ready: false, serving: true, terminating: true}}]}`)
	checkProblem(t, problems, "")
	equal(t, "services", got, []service.Service{{
		Namespace: "shop", Name: "db",
		Frontends: []service.Frontend{tcp("10.96.0.5", 80), tcp("fd00:96::5", 80)},
		Backends:  addrPorts("10.0.0.1:80", "[fd00::1]:80"),
	}})
}

// Whoever may write EndpointSlices must not reach the node's own loopback.
func TestBadServiceParts(t *testing.T) {
	for _, test := range []struct{ name, spec, slice, problem string }{
		{"loopback backend", `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`, `{addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [127.0.0.1]}]}`, "endpoints[0]"},
		{"link-local backend", `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`, `{addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [169.254.169.254]}]}`, "endpoints[0]"},
		{"backend of the other family", `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`, `{addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: ["fd00::1"]}]}`, "endpoints[0]"},
		{"backend port", `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`, `{addressType: IPv4, ports: [{port: 70000}], endpoints: [{addresses: [10.0.0.1]}]}`, "port 70000"},
		{"backend protocol", `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`, `{addressType: IPv4, ports: [{port: 80, protocol: X}], endpoints: [{addresses: [10.0.0.1]}]}`, "unknown protocol"},
		{"service port", `{clusterIP: 10.96.0.5, ports: [{port: 0}]}`, `{addressType: IPv4}`, "port 0"},
		{"service protocol", `{clusterIP: 10.96.0.5, ports: [{port: 80, protocol: X}]}`, `{addressType: IPv4}`, "unknown protocol"},
		{"node port", `{clusterIP: 10.96.0.5, ports: [{port: 80, nodePort: -1}]}`, `{addressType: IPv4}`, "nodePort"},
		{"cluster IP", `{clusterIP: 127.0.0.1, ports: [{port: 80}]}`, `{addressType: IPv4}`, "clusterIPs"},
		{"malformed cluster IP", `{clusterIP: here, ports: [{port: 80}]}`, `{addressType: IPv4}`, "malformed address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := join(t, test.spec, test.slice)
			checkProblem(t, problems, test.problem)
			for _, s := range got {
				if len(s.Backends) > 0 || len(s.Frontends) > 1 {
					t.Errorf("used all the same: %+v", s)
				}
			}
		})
	}
}

func TestOtherProxysService(t *testing.T) {
	in := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{serviceProxyLabel: "mine"}}}
	in.Spec = *decodeYAML[corev1.ServiceSpec](t, `{clusterIP: 10.96.0.5, ports: [{port: 80}]}`)
	if got, _ := parseService(in); len(got.addrs) > 0 {
		t.Errorf("got %+v", got)
	}
}
