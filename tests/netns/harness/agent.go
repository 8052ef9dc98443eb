package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signet-cni/signet/enforce/datapath"
)

// envWantHooks names how programs must be attached, tcx or clsact, in a run of
// the tests that is about one of them.
const envWantHooks = "SIGNET_WANT_HOOKS"

// OpenDatapath loads the programs over what is pinned, and attaches them to
// the WireGuard device and to every pod: a start of the agent.
func (n *Node) OpenDatapath() {
	n.t.Helper()
	n.Do(func() error {
		dp, err := datapath.Open(datapath.Config{
			PinPath: n.pinPath(), Prefix: n.Plan.Prefix,
			OverlayIfIndex: n.wg.index, ForceClsact: n.cluster.options.ForceClsact,
		})
		if err != nil {
			return err
		}
		n.Datapath = dp
		n.t.Cleanup(func() { _ = dp.Close() }) // twice, perhaps
		err = dp.AttachOverlay(n.wg.index)
		for _, ep := range dp.Endpoints() {
			err = errors.Join(err, dp.AttachPod(ep.IfIndex))
		}
		return errors.Join(err, n.checkHooks())
	})
}

// checkHooks: the programs' links are pinned with tcx only.
func (n *Node) checkHooks() error {
	want := os.Getenv(envWantHooks)
	if want == "" || n.cluster.options.ForceClsact {
		return nil
	}
	got := "clsact"
	if links, err := os.ReadDir(filepath.Join(n.pinPath(), "links")); err == nil && len(links) > 0 {
		got = "tcx"
	}
	if got != want {
		return fmt.Errorf("the programs are attached with %s, want %s", got, want)
	}
	return nil
}

func (n *Node) pinPath() string { return filepath.Join(n.bpfDir(), "signet") }

// CloseDatapath is the end of the agent: everything stays in force.
func (n *Node) CloseDatapath() {
	n.t.Helper()
	n.cluster.must(n.Datapath.Close())
}
