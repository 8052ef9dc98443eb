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
	n := c.Nodes[0]
	attachTogether(t, n, c.AddPod(n, harness.Role("a")), false)
	attachTogether(t, n, c.AddShapedPod(n, harness.Role("b")), true)
}

func attachTogether(t *testing.T, n *harness.Node, p *harness.Pod, shaped bool) {
	t.Helper()
	var link *net.Interface
	n.Do(func() (err error) {
		link, err = net.InterfaceByName(p.HostIf())
		return err
	})
	for range 50 {
		n.DetachPod(p)
		errs := make(chan error)
		for range 2 {
			go func() { errs <- n.Try(func() error { return n.Datapath.AttachPod(link.Index, shaped) }) }()
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
			err := c.Nodes[0].Try(func() error { return c.Nodes[0].Datapath.AttachPod(1<<20, name == "tcx") })
			if !errors.Is(err, unix.ENODEV) {
				t.Errorf("%v, want %v", err, unix.ENODEV)
			}
		})
	}
}

// TestUpgradeOfLinks: the programs of a pod that hang on tcx links, as an
// earlier agent attached them, are replaced there, and none runs twice.
func TestUpgradeOfLinks(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	n := c.Nodes[0]
	p := c.AddShapedPod(n, harness.Role("a"))
	if p.HasClsact() {
		t.Log("the kernel has no tcx (Linux 6.6): there are no such links")
		return
	}
	var link *net.Interface
	n.Do(func() (err error) {
		link, err = net.InterfaceByName(p.HostIf())
		return err
	})
	n.Do(func() error { return n.Datapath.AttachPod(link.Index, false) })
	if p.HasClsact() {
		t.Error("the programs were attached a second time")
	}
}
