package api_test

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

func TestQueryRoundTrip(t *testing.T) {
	world := identity.World
	for _, want := range []api.Query{
		api.All,
		{Last: 0},
		{
			Follow: true, Last: 7, Since: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
			Filter: api.Filter{
				Namespace: "concert", Pod: "concert/vip",
				PodAddrs: []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::1")},
				Identity: &world, Labels: map[string]string{"role": "vip", "empty": "", "eq": "a=b"},
				Policy: "concert/vip", Verdict: api.Dropped, Reason: "policy-ingress", Protocol: "TCP", Port: 65535,
			},
		},
	} {
		got, err := api.ParseQuery(want.Values())
		if err != nil {
			t.Fatalf("%s: %v", want.Values().Encode(), err)
		}
		if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Values().Encode(), diff)
		}
	}
}

func TestParseQueryRefuses(t *testing.T) {
	for _, text := range []string{
		"last=-1", "last=x", "since=5m", "identity=-1", "identity=worlds", "label=x", "label==v",
		"verdict=DROPPED", "port=65536", "pod-address=10.0.0.0/8", "follow=maybe", "colour=x",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := api.ParseQuery(values); err == nil {
			t.Errorf("%s: accepted as %+v", text, q)
		}
	}
}

// dropped is what the receiving node tells of a packet from another one.
func dropped() *api.Flow {
	return &api.Flow{
		Verdict: api.Dropped, Reason: "policy-ingress", Protocol: "TCP",
		Src: api.End{
			Addr: netip.MustParseAddr("10.1.0.4"), Port: 40000, Identity: 1001,
			Namespace: "concert", Labels: map[string]string{"role": "backend"},
		},
		Dst: api.End{
			Addr: netip.MustParseAddr("10.1.1.5"), Port: 80, Identity: 1002,
			Namespace: "hall", Pod: "vip", Labels: map[string]string{"role": "vip"},
		},
		Service: netip.MustParseAddrPort("10.96.0.1:8080"),
	}
}

func TestFilter(t *testing.T) {
	one, two, other := identity.ID(1001), identity.ID(1002), identity.ID(5)
	vip := map[string]string{"role": "vip"}
	addrs := []netip.Addr{netip.MustParseAddr("10.1.0.4")}
	for name, test := range map[string]struct {
		filter api.Filter
		want   bool
	}{
		"everything":             {api.Filter{}, true},
		"verdict":                {api.Filter{Verdict: api.Dropped}, true},
		"other verdict":          {api.Filter{Verdict: api.Admitted}, false},
		"reason":                 {api.Filter{Reason: "policy-ingress"}, true},
		"other reason":           {api.Filter{Reason: "no-peer"}, false},
		"protocol in lower case": {api.Filter{Protocol: "tcp"}, true},
		"other protocol":         {api.Filter{Protocol: "UDP"}, false},
		"source port":            {api.Filter{Port: 40000}, true},
		"destination port":       {api.Filter{Port: 80}, true},
		"Service port":           {api.Filter{Port: 8080}, true},
		"other port":             {api.Filter{Port: 81}, false},
		"source namespace":       {api.Filter{Namespace: "concert"}, true},
		"destination namespace":  {api.Filter{Namespace: "hall"}, true},
		"other namespace":        {api.Filter{Namespace: "kube-system"}, false},
		"source identity":        {api.Filter{Identity: &one}, true},
		"other identity":         {api.Filter{Identity: &other}, false},
		"label":                  {api.Filter{Labels: vip}, true},
		"other value":            {api.Filter{Labels: map[string]string{"role": "x"}}, false},
		"absent label":           {api.Filter{Labels: map[string]string{"x": ""}}, false},
		"pod":                    {api.Filter{Pod: "hall/vip"}, true},
		"pod of any namespace":   {api.Filter{Pod: "vip"}, true},
		"pod of another":         {api.Filter{Pod: "concert/vip"}, false},
		"pod by address":         {api.Filter{Pod: "concert/backend", PodAddrs: addrs}, true},
		"address of a named pod": {api.Filter{Pod: "x", PodAddrs: []netip.Addr{netip.MustParseAddr("10.1.1.5")}}, false},
		"all of one end":         {api.Filter{Namespace: "hall", Identity: &two, Labels: vip}, true},
		"mixed ends":             {api.Filter{Namespace: "concert", Labels: vip}, false},
		"end and traffic":        {api.Filter{Namespace: "hall", Port: 81}, false},
	} {
		if got := test.filter.Match(dropped()); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
