package netns_test

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/datapath"
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
			go func() {
				errs <- n.Try(func() error { return n.Datapath.AttachPod(datapath.PodDevice{IfIndex: link.Index, Shaped: shaped}) })
			}()
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
			err := c.Nodes[0].Try(func() error {
				return c.Nodes[0].Datapath.AttachPod(datapath.PodDevice{IfIndex: 1 << 20, Shaped: name == "tcx"})
			})
			if !errors.Is(err, unix.ENODEV) {
				t.Errorf("%v, want %v", err, unix.ENODEV)
			}
		})
	}
}

// TestUpgradeOfHooks: an agent of another version finds a pod's programs in
// filters of clsact or, where the kernel has them, on tcx links, where earlier
// agents put those of every pod. It replaces them where they are, although it
// would use filters itself, and none runs twice.
func TestUpgradeOfHooks(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	n := c.Nodes[0]
	pods := []*harness.Pod{c.AddPod(n, harness.Role("a")), c.AddShapedPod(n, harness.Role("b"))}
	before := []harness.Hooked{oneEach(t, pods[0]), oneEach(t, pods[1])}
	n.CloseDatapath()
	must(t, n.UpgradeDatapath())
	for i, p := range pods {
		filters := p.HasClsact()
		n.Do(func() error {
			link, err := net.InterfaceByName(p.HostIf())
			if err != nil {
				return err
			}
			return n.Datapath.AttachPod(datapath.PodDevice{IfIndex: link.Index})
		})
		after := oneEach(t, p)
		t.Logf("in filters: %v, programs %v became %v", filters, before[i], after)
		if after.FromPod[0] == before[i].FromPod[0] || after.ToPod[0] == before[i].ToPod[0] {
			t.Error("a program of before is still there")
		}
		if p.HasClsact() != filters {
			t.Error("the programs moved to filters")
		}
	}
}

// oneEach wants one program at each side of the pod's interface.
func oneEach(t *testing.T, p *harness.Pod) harness.Hooked {
	t.Helper()
	h, err := p.Hooked()
	must(t, err)
	if len(h.FromPod) != 1 || len(h.ToPod) != 1 {
		t.Fatalf("programs %v, want one from the pod and one to it", h)
	}
	return h
}
