package api_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/internal/api"
)

func TestWhyOverTheSocket(t *testing.T) {
	n := &node{flows: api.NewFlowLog(1), why: api.Why{Node: "worker", Verdict: api.Dropped}}
	path, stop := serve(t, n)
	defer stop()
	q := api.WhyQuery{
		From: netip.MustParseAddr("10.1.2.3"), To: netip.MustParseAddr("192.0.2.1"), FromID: 1001, Protocol: "tcp", Port: 443,
	}
	why, err := api.NewClient(path).Why(t.Context(), q)
	if err != nil || why.Node != "worker" {
		t.Errorf("got %+v, %v", why, err)
	}
	if diff := cmp.Diff(q, n.asked, compareAddrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	n.why = api.Why{}
	if _, err := api.NewClient(path).Why(t.Context(), q); err == nil || !strings.Contains(err.Error(), "no policy is loaded") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestParseWhyQueryRefuses(t *testing.T) {
	for _, text := range []string{
		"", "from=10.0.0.1&to=x&port=80&protocol=tcp", "from=10.0.0.1&to=10.0.0.2&port=0&protocol=tcp",
		"from=10.0.0.1&to=10.0.0.2&port=80&protocol=quic", "from=10.0.0.1&to=10.0.0.2&port=80&protocol=icmp",
		"from=10.0.0.1&to=10.0.0.2&port=80&protocol=tcp&from-identity=x", "from=10.0.0.1&to=10.0.0.2&protocol=tcp",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := api.ParseWhyQuery(values); err == nil {
			t.Errorf("%s: accepted as %+v", text, q)
		}
	}
}

func TestParsePort(t *testing.T) {
	for text, want := range map[string]struct {
		protocol string
		port     uint16
	}{"80": {"tcp", 80}, "53/udp": {"udp", 53}, "80/TCP": {"tcp", 80}, "icmp": {"icmp", 0}, "9/sctp": {"sctp", 9}} {
		protocol, port, err := api.ParsePort(text)
		if err != nil || protocol != want.protocol || port != want.port {
			t.Errorf("%s: %s %d, %v", text, protocol, port, err)
		}
	}
}
