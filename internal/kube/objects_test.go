package kube

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

func TestPod(t *testing.T) {
	in := decodeYAML[corev1.Pod](t, `
metadata: {namespace: shop, name: db-0, uid: u1, labels: {app: db}, annotations: {big: thing}}
spec:
  hostNetwork: true
  initContainers:
  - {name: setup, ports: [{name: gone, containerPort: 1}]}
  - {name: sidecar, restartPolicy: Always, ports: [{name: metrics, containerPort: 9090}]}
  containers:
  - {name: db, ports: [{name: sql, containerPort: 5432}, {containerPort: 99}, {name: dns, containerPort: 53, protocol: UDP}]}
status: {phase: Running, podIPs: [{ip: 10.244.0.9}, {ip: "fd00::9"}]}`)
	it := kept(t, parsePod, in)
	checkProblem(t, it.problems, "")
	equal(t, "pod", it.value, Pod{
		Namespace: "shop", Name: "db-0", UID: "u1", Labels: map[string]string{"app": "db"}, HostNetwork: true, Phase: "Running",
		IPs: []netip.Addr{netip.MustParseAddr("10.244.0.9"), netip.MustParseAddr("fd00::9")},
		Ports: []NamedPort{
			{Name: "metrics", Protocol: policy.TCP, Port: 9090},
			{Name: "sql", Protocol: policy.TCP, Port: 5432},
			{Name: "dns", Protocol: policy.UDP, Port: 53},
		},
	})
	if it.Annotations != nil || it.Name != "db-0" || it.UID != "u1" {
		t.Errorf("kept of the object: %+v", it.ObjectMeta)
	}
}

func TestBadPodParts(t *testing.T) {
	for part, problem := range map[string]string{
		`{spec: {containers: [{name: c, ports: [{name: a, containerPort: 0}]}]}}`:              "no policy can name it",
		`{spec: {containers: [{name: c, ports: [{name: a, containerPort: 1, protocol: X}]}]}}`: "unknown protocol",
		`{status: {podIPs: [{ip: nonsense}]}}`:                                                 "malformed address",
		`{status: {podIPs: [{ip: 127.0.0.1}]}}`:                                                "cannot be a host's",
	} {
		pod, problems := parsePod(decodeYAML[corev1.Pod](t, part))
		checkProblem(t, problems, problem)
		if len(pod.Ports)+len(pod.IPs) > 0 {
			t.Errorf("%s: used all the same: %+v", part, pod)
		}
	}
}

func TestNode(t *testing.T) {
	in := decodeYAML[corev1.Node](t, `
metadata: {name: node-a, uid: u1, labels: {signet-cni.io/tunnel: published}}
spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24, "fd00:1::/64", nonsense]}
status:
  conditions: [{type: NetworkUnavailable, status: "False", reason: SignetIsUp}]
  addresses:
  - {type: Hostname, address: node-a}
  - {type: InternalIP, address: 172.18.0.2}
  - {type: ExternalIP, address: 192.0.2.1}`)
	got, problems := parseNode(in)
	checkProblem(t, problems, `malformed CIDR "nonsense"`)
	equal(t, "node", got, Node{
		Name: "node-a", UID: "u1", NetworkUp: true,
		PodCIDRs:    []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		InternalIPs: []netip.Addr{netip.MustParseAddr("172.18.0.2")},
	})
	in.Spec.PodCIDRs = nil
	in.Status.Conditions[0].Reason = "RouteCreated"
	got, _ = parseNode(in)
	if len(got.PodCIDRs) != 1 || got.NetworkUp {
		t.Errorf("podCIDR alone, another's reason: %+v", got)
	}
	in.Labels, in.Status.Conditions[0].Reason = nil, upReason
	if got, _ = parseNode(in); got.NetworkUp {
		t.Errorf("without the label: %+v", got)
	}
}

func TestNodeAnnotations(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        TunnelWishes
		problem     string
	}{
		{EndpointAnnotation, "192.0.2.9:1234", TunnelWishes{Endpoint: netip.MustParseAddrPort("192.0.2.9:1234")}, ""},
		{EndpointAnnotation, "example.org:1", TunnelWishes{}, "want ip:port"},
		{EndpointAnnotation, "127.0.0.1:1", TunnelWishes{}, "cannot be a host's"},
		{EndpointAnnotation, "192.0.2.9:65535", TunnelWishes{}, "65534 at most"},
		{KeepaliveAnnotation, "25s", TunnelWishes{Keepalive: 25 * time.Second}, ""},
		{KeepaliveAnnotation, "25", TunnelWishes{}, "whole seconds"},
		{KeepaliveAnnotation, "1500ms", TunnelWishes{}, "whole seconds"},
		{KeepaliveAnnotation, "-5s", TunnelWishes{}, "whole seconds"},
		{KeepaliveAnnotation, "2h", TunnelWishes{}, "whole seconds"},
		{MTUAnnotation, "1280", TunnelWishes{MTU: 1280}, ""},
		{MTUAnnotation, "70000", TunnelWishes{}, "from 676 to 65535"},
		{MTUAnnotation, "big", TunnelWishes{}, "from 676 to 65535"},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			in := &corev1.Node{}
			in.Annotations = map[string]string{test.name: test.value}
			got, problems := parseNode(in)
			checkProblem(t, problems, test.problem)
			equal(t, "wishes", got.Wishes, test.want)
		})
	}
}

func concertSet() identity.Set {
	ignore := identity.DefaultIgnore().Counting([]string{"job-name"})
	return identity.NewSet("concert", map[string]string{"team": "a"},
		map[string]string{"role": "vip", "pod-template-hash": "x", "batch.kubernetes.io/job": "y"}, ignore)
}

func TestIdentity(t *testing.T) {
	set := concertSet()
	id := identity.Number(set, 0)
	encoded, err := encodeIdentity(id, set)
	if err != nil {
		t.Fatal(err)
	}
	it := kept(t, parseIdentity, identityAsRead(t, encoded))
	checkProblem(t, it.problems, "")
	if it.value.id != id || !it.value.set.Equal(set) {
		t.Errorf("got %+v, want %s %+v", it.value, id, set)
	}
}

func TestForgedIdentities(t *testing.T) {
	set := concertSet()
	id := identity.Number(set, 0)
	other := identity.NewSet("concert", nil, map[string]string{"role": "stranger"}, identity.Ignore{})
	spec := func(u *unstructured.Unstructured) map[string]any { return u.Object["spec"].(map[string]any) }
	for name, edit := range map[string]func(*unstructured.Unstructured){
		"number of another set": func(u *unstructured.Unstructured) { u.SetName(identity.Number(other, 0).String()) },
		"reserved number":       func(u *unstructured.Unstructured) { u.SetName(identity.Host.String()) },
		"no number":             func(u *unstructured.Unstructured) { u.SetName("vip") },
		"number with a zero":    func(u *unstructured.Unstructured) { u.SetName("0" + id.String()) },
		"changed label":         func(u *unstructured.Unstructured) { spec(u)["podLabels"].(map[string]any)["role"] = "admin" },
		"changed namespace":     func(u *unstructured.Unstructured) { spec(u)["namespace"] = "kube-system" },
		"dropped no longer":     func(u *unstructured.Unstructured) { delete(spec(u), "dropped") },
		"label of a wrong type": func(u *unstructured.Unstructured) { spec(u)["podLabels"].(map[string]any)["role"] = int64(7) },
		"spec of a wrong type":  func(u *unstructured.Unstructured) { u.Object["spec"] = "x" },
		"no spec":               func(u *unstructured.Unstructured) { delete(u.Object, "spec") },
		"null spec":             func(u *unstructured.Unstructured) { u.Object["spec"] = nil },
		"another kind":          func(u *unstructured.Unstructured) { u.SetKind("Tunnel") },
		"another version":       func(u *unstructured.Unstructured) { u.SetAPIVersion("signet-cni.io/v2") },
		"empty":                 func(u *unstructured.Unstructured) { u.Object = map[string]any{} },
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := encodeIdentity(id, set)
			if err != nil {
				t.Fatal(err)
			}
			edit(encoded)
			it := kept(t, parseIdentity, identityAsRead(t, encoded))
			if !it.refused() {
				t.Errorf("accepted as %+v", it.value)
			}
		})
	}
}

// A field of a later version changes nothing for this one.
func TestUnknownField(t *testing.T) {
	set := concertSet()
	encoded, err := encodeIdentity(identity.Number(set, 0), set)
	if err != nil {
		t.Fatal(err)
	}
	encoded.Object["spec"].(map[string]any)["later"] = "x"
	if it := kept(t, parseIdentity, identityAsRead(t, encoded)); it.refused() {
		t.Errorf("refused: %v", it.problems)
	}
}

// FuzzObjects feeds any JSON to every parser that the caches run: none may
// panic, whatever an API server sends.
func FuzzObjects(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"metadata":null,"spec":[]}`,
		`{"apiVersion":"signet-cni.io/v1alpha1","kind":"Tunnel","metadata":{"name":"a","creationTimestamp":7},"spec":{"podCIDRs":{"a":1},"publicKey":1.5}}`,
		`{"apiVersion":"signet-cni.io/v1alpha1","kind":"Identity","metadata":{"name":"300"},"spec":{"podLabels":{"a":null},"dropped":["*",1]}}`,
		`{"apiVersion":"signet-cni.io/v1alpha1","kind":"Tunnel","metadata":{"ownerReferences":[{"kind":"Node"}]},"spec":{"endpoint":"[::1]:1","podCIDRs":["10.0.0.0/24"]}}`,
		`{"apiVersion":"signet-cni.io/v1alpha1","kind":"TunnelList","metadata":{"resourceVersion":"1"},"items":[{"spec":[]},7,null,{"kind":"Tunnel","metadata":[]}]}`,
		`{"spec":{"clusterIPs":["x"],"ports":[{"port":1}],"podCIDRs":[""],"containers":[{"ports":[{"name":"a"}]}]},"status":{"podIPs":[{"ip":""}]}}`,
		`{"addressType":"IPv4","endpoints":[{"addresses":[""],"conditions":{"ready":null}}],"ports":[{"port":0}],"metadata":{"labels":{"kubernetes.io/service-name":"a"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, codec := range []runtime.NegotiatedSerializer{api.TunnelCodec(), api.IdentityCodec()} {
			object, _, err := codec.SupportedMediaTypes()[0].Serializer.Decode(data, nil, nil)
			if err != nil {
				continue
			}
			_, _ = keep(parseIdentity)(object)
			_, _ = keep(tunnelParser(derivePrefix))(object)
		}
		feedParser(data, parsePod)
		feedParser(data, parseNode)
		feedParser(data, parseService)
		feedParser(data, parseNamespace)
		feedParser(data, sliceParser("node-a"))
		feedParser(data, parsePolicy)
	})
}

func feedParser[S any, P interface {
	*S
	source
}, T any](data []byte, parse func(P) (T, []Problem)) {
	in := P(new(S))
	if json.Unmarshal(data, in) == nil {
		_, _ = keep(parse)(in)
	}
}

var _ source = &discoveryv1.EndpointSlice{}
