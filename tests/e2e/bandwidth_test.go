//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// The limits under test, in Mbit/s.
const (
	egressLimit  = 20
	ingressLimit = 40
)

// TestBandwidth measures pods that the bandwidth plugin limits, and one that
// it does not.
func TestBandwidth(t *testing.T) {
	pod := func(name string, node int, annotations map[string]string) *lab.Pod {
		return &lab.Pod{
			Namespace: prefix + "bandwidth", Name: name, Node: node, Annotations: annotations, NoService: true,
			Labels: map[string]string{"app": name}, Command: []string{"iperf3", "--server"}, Ports: []int{5201},
		}
	}
	free := pod("free", lab.Worker, nil)
	out := pod("out", lab.Worker2, map[string]string{"kubernetes.io/egress-bandwidth": "20M"})
	in := pod("in", lab.Worker2, map[string]string{"kubernetes.io/ingress-bandwidth": "40M"})
	other := pod("other", lab.Worker2, nil)
	create(t, alone("bandwidth"), free, out, in, other)

	unlimited := measure(t, other, free)
	t.Logf("without a limit: %.0f Mbit/s", unlimited)
	if unlimited < 2*ingressLimit {
		t.Errorf("%.1f Mbit/s without a limit: too slow to tell", unlimited)
	}
	for _, test := range []struct {
		name     string
		from, to *lab.Pod
		limit    float64
	}{
		{"egress", out, free, egressLimit},
		{"ingress", free, in, ingressLimit},
		{"egress, not ingress", free, out, 0},
		{"ingress, not egress", in, free, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := measure(t, test.from, test.to)
			t.Logf("%.1f Mbit/s, the limit is %.0f", got, test.limit)
			if test.limit == 0 && got < 2*ingressLimit {
				t.Error("limited in the other direction")
			}
			if test.limit != 0 && (got < test.limit/2 || got > test.limit*1.3) {
				t.Error("not what the limit asks for")
			}
		})
	}
}

// measure gives the Mbit/s of the last seconds of a TCP flow: the plugin lets
// a burst through first.
func measure(t *testing.T, from, to *lab.Pod) float64 {
	t.Helper()
	const seconds, counted = "10", 3
	out, err := cluster.Exec(t.Context(), from.Namespace, from.Name, "",
		"iperf3", "--client", to.Addr.String(), "--time", seconds, "--json")
	var report struct {
		Intervals []struct {
			Sum struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum"`
		} `json:"intervals"`
	}
	if err = errors.Join(err, json.Unmarshal([]byte(out), &report)); err != nil || len(report.Intervals) < counted {
		t.Fatalf("iperf3 from %s to %s: %v: %s", from.Key(), to.Key(), err, out)
	}
	sum := 0.0
	for _, interval := range report.Intervals[len(report.Intervals)-counted:] {
		sum += interval.Sum.BitsPerSecond
	}
	return sum / counted / 1e6
}
