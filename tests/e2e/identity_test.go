//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/wire"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const onlyAdmins = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: target, namespace: e2e-forged}
spec:
  podSelector: {matchLabels: {app: target}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: admin}}
`

// number is the identity of a namespace's pods that have the label app.
func number(t *testing.T, namespace, app string) uint32 {
	t.Helper()
	out := kubectl(t, "get", "identities", "-o",
		fmt.Sprintf(`jsonpath={.items[?(@.spec.namespace==%q)]}`, prefix+namespace))
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var object struct {
			Metadata struct{ Name string }
			Spec     struct{ PodLabels map[string]string }
		}
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("no identity has app=%s in %s: %v", app, namespace, err)
		}
		if object.Spec.PodLabels["app"] == app {
			id, err := strconv.ParseUint(object.Metadata.Name, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(id)
		}
	}
}

// tunnelPrefix is the range inside the tunnel from which a node speaks.
func tunnelPrefix(t *testing.T, node int) netip.Prefix {
	t.Helper()
	prefix, err := netip.ParsePrefix(kubectl(t, "get", "tunnel", cluster.Nodes[node].Name, "-o", "jsonpath={.spec.prefix}"))
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

// freeze stops a node's agent until thaw, as whoever has taken over the node
// would: nothing puts right what is written in its name.
func freeze(t *testing.T, node int) (thaw func()) {
	t.Helper()
	out, err := cluster.OnNode(t.Context(), node, "sh", "-c", findAgent)
	pids := strings.Fields(out)
	if err != nil || len(pids) != 1 {
		t.Fatalf("agents: %q, %v", out, err)
	}
	if _, err := cluster.OnNode(t.Context(), node, "kill", "-STOP", pids[0]); err != nil {
		t.Fatal(err)
	}
	thaw = func() {
		if _, err := cluster.OnNode(context.Background(), node, "kill", "-CONT", pids[0]); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(thaw)
	return thaw
}

// TestForgedIdentity takes over a node: with its key, its prefix and its
// agent's token it claims the labels of another node's pod. It can list them in
// its Tunnel, but the verifier does not find the pod, and other nodes count the
// forged packet under audit and drop it under enforce. Honest pods of that
// node, and new ones, talk in both modes.
func TestForgedIdentity(t *testing.T) {
	target, honest, admin := server("forged", "target", lab.Worker), server("forged", "honest", lab.Worker2), server("forged", "admin", lab.ControlPlane)
	create(t, alone("forged"), target, honest, admin)
	apply(t, onlyAdmins)
	settle()
	id := number(t, "forged", "admin")
	agent, err := cluster.Agent(t.Context(), lab.Worker2)
	if err != nil {
		t.Fatal(err)
	}
	token := newBearer(t, strings.TrimSpace(kubectl(t, "create", "token", "signet", "-n", lab.SignetNamespace,
		"--bound-object-kind", "Pod", "--bound-object-name", agent, "--duration", "10m")))

	takeOver := func() (flow api.Flow) {
		thaw := freeze(t, lab.Worker2)
		defer thaw()
		claim(t, token, id)
		return forged(t, honest, target, id)
	}
	if flow := takeOver(); flow.Verdict != api.Admitted || !flow.Unattested {
		t.Errorf("under audit: %s, %s, marked %t", flow.Verdict, flow.Reason, flow.Unattested)
	}
	configure(t, "attestation: audit", "attestation: enforce")
	try(t, []lab.Probe{
		ask(admin, target, 80, lab.TCP, lab.Answer), ask(honest, target, 80, lab.TCP, lab.Silence),
		ask(honest, admin, 80, lab.TCP, lab.Answer), ask(target, honest, 80, lab.UDP, lab.Answer),
	})
	late := server("forged", "late", lab.Worker2)
	if err := cluster.Create(t.Context(), nil, []*lab.Pod{late}); err != nil {
		t.Fatalf("a pod with new labels under enforce: %v", err)
	}
	try(t, []lab.Probe{ask(late, admin, 80, lab.TCP, lab.Answer), ask(late, target, 80, lab.TCP, lab.Silence)})
	if flow := takeOver(); flow.Verdict != api.Dropped || flow.Reason != "unattested" {
		t.Errorf("under enforce: %s, %s", flow.Verdict, flow.Reason)
	}
}

// claim lists an identity in the Tunnel of the taken-over node, and makes sure
// that this is all that its agent's token can do.
func claim(t *testing.T, token *bearer, id uint32) {
	t.Helper()
	path := "/apis/signet-cni.io/v1alpha1/tunnels/" + cluster.Nodes[lab.Worker2].Name
	change := fmt.Sprintf(`{"spec":{"identities":[%d]}}`, id)
	if status, body := token.change(t, path, change); status != http.StatusOK {
		t.Fatalf("listing an identity: %d %s", status, body)
	}
	status, body := token.patch(t, path+"/status", fmt.Sprintf(`{"status":{"identities":[%d]}}`, id))
	if status != http.StatusForbidden {
		t.Errorf("verifying oneself: got %d %s, want a refusal", status, body)
	}
	time.Sleep(3 * time.Second) // for looks of the verifier
	out := kubectl(t, "get", "tunnel", cluster.Nodes[lab.Worker2].Name, "-o", "jsonpath={.spec.identities} {.status.identities}")
	listed, verified, _ := strings.Cut(out, " ")
	numbers := strings.FieldsFunc(verified, func(r rune) bool { return !strings.ContainsRune("0123456789", r) })
	if listed != fmt.Sprintf("[%d]", id) || slices.Contains(numbers, strconv.Itoa(int(id))) {
		t.Errorf("listed %s, verified %s; the identity is %d", listed, verified, id)
	}
}

// forged sends a packet from a pod's address with another's identity out of the
// pod's node, and gives what the target's node made of it.
func forged(t *testing.T, from, target *lab.Pod, id uint32) api.Flow {
	t.Helper()
	began := time.Now()
	port := uint16(20000 + began.UnixMilli()%20000) // of a flow of its own
	inner := harness.UDPPacket(netip.AddrPortFrom(from.Addr, port), netip.AddrPortFrom(target.Addr, 80), []byte("hostname"))
	packet, err := wire.Encode(inner.Bytes(), wire.Route{
		From: tunnelPrefix(t, from.Node), To: tunnelPrefix(t, target.Node), Identity: id,
	})
	if err == nil {
		err = cluster.Inject(t.Context(), from.Node, overlay.DefaultDevice, packet)
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		flows, err := cluster.Flows(t.Context(), target.Node, began.Add(-time.Second))
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(flows, func(f api.Flow) bool { return f.Src.Port == port && uint32(f.Src.Identity) == id })
		if at >= 0 {
			return flows[at]
		}
	}
	t.Fatal(errors.New("the target's node tells nothing of the forged packet"))
	return api.Flow{}
}
