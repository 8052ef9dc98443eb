package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	overlaytunnel "github.com/signet-cni/signet/overlay/tunnel"
)

// errNoTunnel is what an agent says that has not got so far.
var errNoTunnel = errors.New("the agent has no tunnel yet: see \"signet status\"")

// Rotate begins to change this node's keys.
func (s *status) Rotate() error {
	if s.startProblem() != nil {
		return errNoTunnel
	}
	return s.agent.tunnel.core.Rotate()
}

// Encryption looks at the sessions.
func (s *status) Encryption() api.Encryption {
	e := api.Encryption{Node: s.agent.cfg.nodeName, Peers: []api.EncryptionPeer{}}
	if s.startProblem() != nil {
		e.Problems = []string{errNoTunnel.Error()}
		return e
	}
	t := s.agent.tunnel
	first, second, err := t.core.Status()
	if err != nil {
		e.Problems = append(e.Problems, err.Error())
	}
	plan := t.current()
	public, _, made := t.keys.Public()
	e.Kind, e.MTU, e.PodMTU, e.Underlay = string(t.first.Kind()), first.MTU, plan.MTU.Pods, plan.underlay.Devices
	e.Key = api.TunnelKey{PublicKey: public.String(), Made: made}
	e.Rotation = apiRotation(t.core.Rotation())
	for _, p := range plan.Peers {
		e.Peers = append(e.Peers, encryptionPeer(p, first, second, t.core.Detoured(p.Name), t.keyed(p.Name)))
	}
	for _, r := range plan.Refused {
		e.Peers = append(e.Peers, api.EncryptionPeer{Node: r.Node, Problem: r.String()})
	}
	return e
}

func apiRotation(r overlaytunnel.Rotation) api.Rotation {
	out := api.Rotation{
		Running: r.Running, Step: r.Step, Waiting: r.Waiting, Begun: r.Begun, Ended: r.Ended, Overdue: r.Overdue,
	}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	return out
}

// keyed is when a node says that it made its key.
func (t *tunnel) keyed(node string) time.Time {
	accepted := t.current().Accepted
	i := slices.IndexFunc(accepted, func(n overlay.Node) bool { return n.Name == node })
	if i < 0 {
		return time.Time{}
	}
	return accepted[i].Keyed
}

func encryptionPeer(p overlay.Peer, first, second device.Status, detoured bool, keyed time.Time) api.EncryptionPeer {
	onFirst, onSecond := find(first, p.PublicKey), find(second, p.Detour.PublicKey)
	used, name := onFirst, first.Name
	if detoured {
		used, name = onSecond, second.Name
	}
	return api.EncryptionPeer{
		Node: p.Name, Key: api.TunnelKey{PublicKey: p.PublicKey.String(), Made: keyed}, Device: name,
		Endpoint: used.Endpoint, LastHandshake: used.LastHandshake,
		Rx: onFirst.Received + onSecond.Received, Tx: onFirst.Sent + onSecond.Sent,
		Problem: sessionProblem(used, cmp.Or(p.Endpoint.String(), "unknown"), time.Now()),
	}
}

// sessionProblem says why a peer that shakes hands every three minutes is not
// reached, "" if it is.
func sessionProblem(p device.PeerStatus, endpoint string, now time.Time) string {
	const hint = "does the node run, and is UDP open to %s and the next port?"
	switch age := now.Sub(p.LastHandshake); {
	case p.PublicKey == wgtypes.Key{}:
		return "the device does not know the peer"
	case p.LastHandshake.IsZero():
		return fmt.Sprintf("no handshake ever: "+hint, endpoint)
	case age > overlaytunnel.SessionLifetime:
		return fmt.Sprintf("no handshake for %v: "+hint, age.Round(time.Second), endpoint)
	}
	return ""
}

func find(s device.Status, key wgtypes.Key) device.PeerStatus {
	i := slices.IndexFunc(s.Peers, func(p device.PeerStatus) bool { return p.PublicKey == key })
	if i < 0 {
		return device.PeerStatus{}
	}
	return s.Peers[i]
}
