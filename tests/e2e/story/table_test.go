package story

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

func TestParseTable(t *testing.T) {
	got, err := parseTable(`
		from  a:80 other/b:53/UDP
		a     .    yes
		b     no   .
	`, "ns")
	want := []cell{
		{from: "ns/a", to: target{pod: "other/b", port: 53, protocol: lab.UDP}, open: true},
		{from: "ns/b", to: target{pod: "ns/a", port: 80, protocol: lab.TCP}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{}, target{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestParseTableRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"short row": "from a:80 b:80\na .",
		"long row":  "from a:80\na . .",
		"decision":  "from a:80\nb maybe",
		"no port":   "from a\nb yes",
		"big port":  "from a:65536\nb yes",
	} {
		t.Run(name, func(t *testing.T) {
			if cells, err := parseTable(text, "ns"); err == nil {
				t.Errorf("got %v", cells)
			}
		})
	}
}

// TestTablesFitTheirPods goes through all stories without a cluster.
func TestTablesFitTheirPods(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for _, s := range append(All("x-"), Database("x-", addr, addr)) {
		for _, step := range s.Steps {
			rows, err := s.Rows(step)
			if err != nil || len(rows) == 0 {
				t.Errorf("%s, %s: %d rows, %v", s.Name, step.Title, len(rows), err)
			}
		}
	}
}
