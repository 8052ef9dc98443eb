package cli_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
)

// encryption is a node with one peer that is well and perhaps one that is not.
func encryption(name string, problem bool) api.Encryption {
	key := func(c string) string { return strings.Repeat(c, 43) + "=" }
	e := api.Encryption{
		Node: name, Kind: api.KernelDevice, MTU: 1420, PodMTU: 1400, Underlay: []string{"eth0"},
		Key: api.TunnelKey{PublicKey: key("A"), Made: now.Add(-50 * time.Hour)},
		Peers: []api.EncryptionPeer{{
			Node: "node-c", Key: api.TunnelKey{PublicKey: key("C"), Made: now.Add(-time.Hour)}, Device: "signet0",
			Endpoint: netip.MustParseAddrPort("192.0.2.3:51872"), LastHandshake: now.Add(-40 * time.Second), Rx: 123456, Tx: 7890,
		}},
	}
	if problem {
		e.Peers = append(e.Peers, api.EncryptionPeer{Node: "node-b", Problem: `node "node-b" refused: key, in conflict with node "node-c"`})
	}
	return e
}

func TestEncryptStatus(t *testing.T) {
	well, ill := &node{encryption: encryption("node-a", false)}, &node{encryption: encryption("node-b", true)}
	c := &cluster{nodes: map[string]string{"node-a": serve(t, well), "node-b": serve(t, ill)}}
	if got := run(t, c, "encrypt", "status", "--node", "node-a"); got.code != 0 {
		t.Errorf("all peers well: exit code %d: %s", got.code, got.stderr)
	}
	got := run(t, c, "encrypt", "status")
	if got.code != 1 {
		t.Errorf("a peer is not well: exit code %d", got.code)
	}
	golden(t, "encrypt-status.txt", got.stdout)
	golden(t, "encrypt-status-json.txt", run(t, c, "encrypt", "status", "-o", "json").stdout)
}

func TestKeyRotate(t *testing.T) {
	rotates := func(n *node) {
		n.encryption.Key.PublicKey = strings.Repeat("Z", 43) + "="
		n.encryption.Rotation = api.Rotation{Step: "done", Begun: now, Ended: now.Add(11 * time.Second)}
	}
	gives := func(n *node) {
		n.encryption.Rotation = api.Rotation{Step: "given up", Begun: now, Ended: now, Error: "the old key stays in force"}
	}
	good, bad := &node{encryption: encryption("node-a", false), rotates: rotates}, &node{encryption: encryption("node-b", false), rotates: gives}
	c := &cluster{nodes: map[string]string{"node-a": serve(t, good), "node-b": serve(t, bad)}}
	if got := run(t, c, "key", "rotate", "--node", "node-a"); got.code != 0 || got.stdout != "node-a: key ZZZZZZZZZZZZ: done in 11s\n" {
		t.Errorf("%d: %s%s", got.code, got.stdout, got.stderr)
	}
	got := run(t, c, "key", "rotate", "--node", "node-b")
	if got.code != 1 || !strings.Contains(got.stderr, "node node-b: the old key stays in force") {
		t.Errorf("%d: %s", got.code, got.stderr)
	}
	bad.rotates = func(*node) {} // an agent that was restarted
	bad.encryption.Rotation = api.Rotation{}
	if got = run(t, c, "key", "rotate", "--node", "node-b"); got.code != 1 || !strings.Contains(got.stderr, "restarted") {
		t.Errorf("%d: %s", got.code, got.stderr)
	}
}
