package main

import (
	"context"
	"hash/fnv"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// lookInterval is how often the tunnel's sessions are looked at.
const lookInterval = time.Second

// watch looks at the sessions until ctx ends, and changes the keys when it is
// time to.
func (t *tunnel) watch(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var failed string
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := t.core.Look()
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			t.agent.log.Warn("cannot look after the tunnel's sessions", "error", err)
			t.agent.loops.tunnel.Poke()
		}
		t.rotateIfDue(time.Now())
	}
}

// rotateIfDue begins a change of keys that the configuration asks for. One node
// at a time: two that change theirs at once wait for each other.
func (t *tunnel) rotateIfDue(now time.Time) {
	every := t.agent.cfg.settings.current().keyRotation
	rotation := t.core.Rotation()
	if every == 0 || rotation.Running || rotation.Err != nil && now.Sub(rotation.Ended) < rotationRetry {
		return
	}
	_, _, made := t.keys.Public()
	if now.Before(made.Add(every + jitter(t.agent.cfg.nodeName, every))) {
		return
	}
	for _, p := range t.current().Peers {
		if p.Detour.Active {
			return
		}
	}
	if err := t.core.Rotate(); err != nil {
		t.agent.log.Warn("cannot change keys", "error", err)
	}
}

// rotationRetry is how long after a failed change of keys the next one begins.
const rotationRetry = 15 * time.Minute

// jitter spreads the nodes of a cluster over a tenth of an interval.
func jitter(node string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // never fails
	return time.Duration(h.Sum64() % uint64(interval/10+1))
}

// status is the first device as people see it; zero if it cannot be read.
func (t *tunnel) status() api.Device {
	first, _, err := t.core.Status()
	if err != nil {
		return api.Device{}
	}
	plan := t.current()
	d := api.Device{
		Name: first.Name, Kind: string(first.Kind), PublicKey: first.PublicKey.String(),
		ListenPort: first.ListenPort, MTU: first.MTU, PodMTU: plan.MTU.Pods,
	}
	names := map[wgtypes.Key]overlay.Peer{}
	for _, p := range plan.Peers {
		names[p.PublicKey] = p
	}
	for _, p := range first.Peers {
		d.Peers = append(d.Peers, apiPeer(names[p.PublicKey].Name, p, t.agent.cfg.cluster.Range()))
	}
	return d
}

func apiPeer(node string, p device.PeerStatus, inTunnel netip.Prefix) api.Peer {
	peer := api.Peer{
		Node: node, PublicKey: p.PublicKey.String(), Endpoint: p.Endpoint,
		LastHandshake: p.LastHandshake, Rx: p.Received, Tx: p.Sent,
	}
	for _, prefix := range p.AllowedIPs { // beside its IPv6 pod range
		if inTunnel.Contains(prefix.Addr()) {
			peer.Prefix = prefix
		}
	}
	return peer
}
