package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/locations"
)

// OpenDatapath loads the programs over what is pinned, and attaches them to
// the WireGuard device and to every pod: a start of the agent.
func (n *Node) OpenDatapath() {
	n.t.Helper()
	n.Do(func() error {
		dp, err := datapath.Open(n.datapathConfig())
		if err != nil {
			return err
		}
		n.Datapath = dp
		n.t.Cleanup(func() { _ = dp.Close() }) // twice, perhaps
		return attachAll(dp, n.hooks())
	})
}

// hooks is what the programs are attached to, and how they are loaded.
type hooks struct {
	Config datapath.Config
	Pods   []datapath.PodDevice
}

func (n *Node) hooks() hooks {
	h := hooks{Config: n.datapathConfig()}
	if n.cni == nil {
		return h // the node starts: it has no pods
	}
	for _, ep := range n.cni.manager.Endpoints() {
		h.Pods = append(h.Pods, deviceOf(ep))
	}
	return h
}

func (n *Node) datapathConfig() datapath.Config {
	return datapath.Config{
		PinPath: n.pinPath(), Prefix: n.Plan.Prefix, Prefix6: n.Plan.Pods.V6,
		OverlayIfIndex: n.wg.first.Index(), DetourIfIndex: n.wg.second.Index(),
		ForceClsact: n.cluster.options.ForceClsact,
	}
}

func attachAll(dp *datapath.Datapath, h hooks) error {
	err := errors.Join(dp.AttachOverlay(h.Config.OverlayIfIndex), dp.AttachOverlay(h.Config.DetourIfIndex))
	for _, pod := range h.Pods {
		err = errors.Join(err, dp.AttachPod(pod))
	}
	return err
}

func (n *Node) pinPath() string { return filepath.Join(n.bpfDir(), "signet") }

// CloseDatapath is the end of the agent: everything stays in force.
func (n *Node) CloseDatapath() {
	n.t.Helper()
	n.cluster.must(n.Datapath.Close())
}

// KillAgent starts a process that does what a starting agent does to the kernel,
// again and again, and kills it with SIGKILL after a time. The datapath must be
// closed.
func (n *Node) KillAgent(after time.Duration) {
	n.t.Helper()
	h, err := json.Marshal(n.hooks())
	n.cluster.must(err)
	cmd := itself(roleAgent)
	cmd.Env = append(cmd.Env, envAgent+"="+string(h))
	n.cluster.must(n.onHolder(cmd.Start))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		n.t.Fatalf("the agent of %s ended by itself: %v", n.name, err)
	case <-time.After(after):
		n.cluster.must(cmd.Process.Kill())
		if err := <-ended; err == nil {
			n.t.Fatalf("the agent of %s ended by itself before it could be killed", n.name)
		}
	}
}

// serveAgent opens, attaches and closes until it is killed.
func serveAgent(ctx context.Context) error {
	var h hooks
	if err := json.Unmarshal([]byte(os.Getenv(envAgent)), &h); err != nil {
		return err
	}
	for ctx.Err() == nil {
		dp, err := datapath.Open(h.Config)
		if err != nil {
			return err
		}
		if err := errors.Join(attachAll(dp, h), dp.Close()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// UpgradeDatapath starts an agent of a version whose maps have another layout,
// after CloseDatapath: it fills maps of its own before its programs replace
// those of the other.
func (n *Node) UpgradeDatapath() error {
	n.t.Helper()
	before := n.Datapath.Endpoints()
	found, err := filepath.Glob(filepath.Join(n.pinPath(), "maps-*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("want one directory of maps: %v, %w", found, err)
	}
	if err := os.Rename(found[0], filepath.Join(n.pinPath(), "maps-older")); err != nil {
		return err
	}
	return errors.Join(n.refill(before), n.Datapath.DropOtherLayouts())
}

// refill loads programs over empty maps, fills these as the agent does, and
// attaches the programs.
func (n *Node) refill(endpoints map[netip.Addr]datapath.Endpoint) error {
	n.t.Helper()
	c := n.cluster
	n.Do(func() (err error) {
		n.Datapath, err = datapath.Open(n.datapathConfig())
		return err
	})
	dp := n.Datapath
	n.t.Cleanup(func() { _ = dp.Close() })
	_, err := dp.SetLocations(locations.Of(n.Plan))
	c.must(err)
	_, err = dp.SetServices(c.services)
	c.must(err)
	for _, ep := range endpoints {
		c.must(dp.SetEndpoint(ep))
	}
	c.must(c.applyPolicies())
	return n.Try(func() error { return attachAll(dp, n.hooks()) })
}

// ForgetFlows empties the flow table: every packet is a flow's first again.
func (n *Node) ForgetFlows() error {
	return n.Try(func() error {
		pins, err := filepath.Glob(filepath.Join(n.pinPath(), "maps-*", "flows"))
		if err != nil || len(pins) != 1 {
			return fmt.Errorf("find the flow table: %v: %w", pins, err)
		}
		flows, err := ebpf.LoadPinnedMap(pins[0], nil)
		if err != nil {
			return err
		}
		defer func() { _ = flows.Close() }() // a file descriptor of this process
		var keys [][]byte
		var key, value []byte
		for entries := flows.Iterate(); entries.Next(&key, &value); {
			keys = append(keys, bytes.Clone(key))
		}
		for _, key := range keys {
			if err := flows.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
		}
		return nil
	})
}
