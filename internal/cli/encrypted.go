package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/probe"
	"github.com/signet-cni/signet/overlay"
)

const (
	// binaryPath is this command in its image.
	binaryPath = "/usr/bin/signet"
	// watchTime bounds the start of the watch on a node, and its end.
	watchTime = 30 * time.Second
)

// tunnels are the devices that seal: the second one while a node changes its
// key.
var tunnels = []string{overlay.DefaultDevice, overlay.DetourDevice}

// watchers are the agents that watch their nodes' devices meanwhile.
type watchers struct {
	nodes []*watcher
}

// watcher is what one agent sees.
type watcher struct {
	stop  func()
	out   *firstLine
	ended chan error
	err   error // why there is nothing to see
}

// firstLine keeps what is written, and notes when the first line is complete.
type firstLine struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	begun  chan struct{}
	once   sync.Once
}

// Write never fails.
func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buffer.Write(p)
	if bytes.Contains(f.buffer.Bytes(), []byte{'\n'}) {
		f.once.Do(func() { close(f.begun) })
	}
	return len(p), nil
}

func (f *firstLine) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.buffer.Bytes())
}

// watch starts the watch on all nodes and waits until it has begun.
func (r *connectivityRun) watch(ctx context.Context) *watchers {
	w := &watchers{nodes: make([]*watcher, len(r.agents))}
	if len(r.agents) < 2 {
		return w
	}
	r.progress("the agents watch the devices between the nodes")
	var starting sync.WaitGroup
	for n := range r.agents {
		starting.Go(func() { w.nodes[n] = r.watchNode(ctx, n) })
	}
	starting.Wait()
	return w
}

func (r *connectivityRun) watchNode(ctx context.Context, number int) *watcher {
	w := &watcher{out: &firstLine{begun: make(chan struct{})}, ended: make(chan error, 1), stop: func() {}}
	status, err := askRemote[api.Status](ctx, r.target.cluster, r.agents[number], []string{"status"})
	if err == nil && len(status) != 1 {
		err = errors.New("the agent does not say which port its tunnel has")
	}
	if err != nil {
		w.err = err
		return w
	}
	port := status[0].Device.ListenPort
	var others []string
	for n, host := range r.hosts {
		if n != number {
			others = append(others, host.HostAddr.String())
		}
	}
	for _, p := range status[0].Device.Peers { // may be reached another way than by the nodes' addresses
		taking := slices.ContainsFunc(r.agents, func(a agents.Agent) bool { return a.Node == p.Node })
		if taking && p.Endpoint.IsValid() {
			others = append(others, p.Endpoint.Addr().String())
		}
	}
	command := []string{
		binary, "probe", "sniff", "--marker", r.marker, "--device", strings.Join(tunnels, ","), "--towards", strings.Join(others, ","),
		"--port", fmt.Sprintf("%d,%d", port, port+1), // of the two devices
	}
	stdin, stop := io.Pipe()
	w.stop = func() { _ = stop.Close() } // cannot fail
	go func() { w.ended <- r.target.cluster.RunAt(ctx, r.agents[number], command, stdin, w.out) }()
	select {
	case <-w.out.begun:
	case err := <-w.ended:
		w.ended <- err
		w.err = fmt.Errorf("the watch of the devices did not begin: %w", err)
	case <-time.After(watchTime):
		w.err = fmt.Errorf("the watch of the devices did not begin within %v", watchTime)
	}
	return w
}

// end ends the watch and gives what was seen.
func (w *watcher) end() ([]probe.Seen, error) {
	w.stop()
	if w.err != nil {
		return nil, w.err
	}
	select {
	case err := <-w.ended:
		if err != nil {
			return nil, err
		}
		return parseSniff(w.out.bytes())
	case <-time.After(watchTime):
		return nil, fmt.Errorf("the watch of the devices did not end within %v", watchTime)
	}
}

// encrypted ends the watch and judges it for each pair of nodes.
func (w *watchers) encrypted(r *connectivityRun) []PathResult {
	if len(r.agents) < 2 {
		return nil
	}
	seen := make([][]probe.Seen, len(w.nodes))
	errs := make([]error, len(w.nodes))
	var ending sync.WaitGroup
	for n, node := range w.nodes {
		ending.Go(func() { seen[n], errs[n] = node.end() })
	}
	ending.Wait()
	var results []PathResult
	r.pairs(func(from, to int) {
		if from == to {
			return
		}
		result := PathResult{From: r.agents[from].Node, To: r.agents[to].Node, Check: checkEncrypted}
		if err := errors.Join(errs[from], errs[to]); err != nil {
			result.Unknown, result.Detail = true, remoteError(err).Error()
		} else {
			result.Detail = sealedPair(pairText(from, to), seen[from], seen[to])
			result.OK = result.Detail == ""
		}
		if result.OK {
			result.Detail = "seen in the tunnel, and nothing of it beside it"
		}
		results = append(results, result)
	})
	return results
}

// sealedPair says what is wrong with what two nodes saw of one another's
// bytes, "" if nothing.
func sealedPair(pair string, sender, receiver []probe.Seen) string {
	inTunnel, sealed := uint64(0), uint64(0)
	for _, s := range receiver {
		if slices.Contains(tunnels, s.Device) {
			inTunnel += s.Marks[pair]
		} else {
			sealed += s.Sealed
		}
	}
	for _, s := range append(sender[:len(sender):len(sender)], receiver...) {
		if !slices.Contains(tunnels, s.Device) && s.Marks[pair] > 0 {
			return fmt.Sprintf("%s in CLEAR on device %s", count(int(s.Marks[pair]), "frame", "frames"), s.Device)
		}
	}
	switch {
	case inTunnel == 0:
		return "nothing of it was seen in the tunnel"
	case sealed == 0:
		return "no WireGuard datagram was seen between the nodes"
	}
	return ""
}
