// Package needroot is for tests that cannot run without root.
package needroot

import (
	"os"
	"testing"
)

// Skip skips a test that needs root, why says for what, where there is none. It
// fails the test where root is promised: with CI=true or SIGNET_REQUIRE_ROOT=1 in
// the environment.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("SIGNET_REQUIRE_ROOT") == "1" {
		t.Fatal("needs root: " + why)
	}
	t.Skip("needs root: " + why)
}
