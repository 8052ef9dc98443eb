package netns_test

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestPlatform says what the other tests of this run stand on. Where the
// environment promises something, anything else is a failure.
func TestPlatform(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	wireGuard, hooks := "userspace", "tcx"
	c.Nodes[0].Do(func() error {
		link, err := netlink.LinkByName(overlay.DefaultDevice)
		if err != nil {
			return err
		}
		if link.Type() == "wireguard" {
			wireGuard = "kernel"
		}
		qdiscs, err := netlink.QdiscList(link)
		for _, q := range qdiscs {
			if q.Type() == "clsact" {
				hooks = "clsact"
			}
		}
		return err
	})
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		t.Fatal(err)
	}
	sctp := "none"
	if harness.HasSCTP() {
		sctp = "sockets"
	}
	t.Logf("platform: Linux %s, WireGuard: %s, hooks: %s, SCTP: %s",
		unix.ByteSliceToString(system.Release[:]), wireGuard, hooks, sctp)
	for name, got := range map[string]string{
		"SIGNET_WANT_WIREGUARD": wireGuard, "SIGNET_WANT_HOOKS": hooks, "SIGNET_WANT_SCTP": sctp,
	} {
		if want, ok := os.LookupEnv(name); ok && want != got {
			t.Errorf("%s, but %s=%s", got, name, want)
		}
	}
}
