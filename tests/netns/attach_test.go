package netns_test

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestAttachTogether attaches a pod from two sides at once, as ADD and the loop
// that puts back what somebody detached do.
func TestAttachTogether(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	n, p := c.Nodes[0], c.AddPod(c.Nodes[0], harness.Role("a"))
	var link *net.Interface
	n.Do(func() (err error) {
		link, err = net.InterfaceByName(p.HostIf())
		return err
	})
	for range 50 {
		n.DetachPod(p)
		errs := make(chan error)
		for range 2 {
			go func() { errs <- n.Try(func() error { return n.Datapath.AttachPod(link.Index) }) }()
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttachToNothing attaches to a device that is not there any more: the
// caller can tell that from all else that can go wrong.
func TestAttachToNothing(t *testing.T) {
	harness.Require(t)
	for name, options := range map[string]harness.Options{"tcx": {}, "clsact": {ForceClsact: true}} {
		t.Run(name, func(t *testing.T) {
			c := harness.NewCluster(t, 1, options)
			err := c.Nodes[0].Try(func() error { return c.Nodes[0].Datapath.AttachPod(1 << 20) })
			if !errors.Is(err, unix.ENODEV) {
				t.Errorf("%v, want %v", err, unix.ENODEV)
			}
		})
	}
}
