package netns_test

import (
	"errors"
	"net"
	"testing"

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
