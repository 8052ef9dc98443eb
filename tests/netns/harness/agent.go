package harness

import (
	"errors"
	"path/filepath"

	"github.com/signet-cni/signet/enforce/datapath"
)

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
		return err
	})
}

func (n *Node) pinPath() string { return filepath.Join(n.bpfDir(), "signet") }

// CloseDatapath is the end of the agent: everything stays in force.
func (n *Node) CloseDatapath() {
	n.t.Helper()
	n.cluster.must(n.Datapath.Close())
}
