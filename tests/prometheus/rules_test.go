package prometheus_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signet-cni/signet/tests/prometheus"
)

const alerts = "../../deploy/alerts"

func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(prometheus.Program(t, "promtool"), args...)
	cmd.Dir = alerts
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "--lint-fatal", "signet.yaml")
	promtool(t, "test", "rules", "signet_test.yaml")
}

// Each alert is seen to fire by its unit test, and says what to do.
func TestEveryAlertIsTested(t *testing.T) {
	rules, tests := file(t, alerts+"/signet.yaml"), file(t, alerts+"/signet_test.yaml")
	names := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(names) < 10 {
		t.Errorf("%d alerts", len(names))
	}
	for _, name := range names {
		if !strings.Contains(tests, `alertname="`+name[1]+`"`) {
			t.Errorf("%s is never seen to fire", name[1])
		}
	}
	if n := strings.Count(rules, "description:"); n != len(names) {
		t.Errorf("%d descriptions of %d alerts", n, len(names))
	}
}

// Dashboard and rules speak only of metrics that docs/metrics.md describes,
// which is compared with what agents export, and of those of the process.
func TestMetricsAreKnown(t *testing.T) {
	documented := regexp.MustCompile("(?m)^\\| `(signet_[a-z_]+)`").FindAllStringSubmatch(file(t, "../../docs/metrics.md"), -1)
	var known []string
	for _, row := range documented {
		known = append(known, row[1], row[1]+"_bucket", row[1]+"_count")
	}
	for _, path := range []string{alerts + "/signet.yaml", dashboard} {
		for _, name := range regexp.MustCompile(`\bsignet_[a-z_]+`).FindAllString(file(t, path), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s asks for %s, which nobody exports", path, name)
			}
		}
	}
}

func file(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
