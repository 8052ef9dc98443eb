//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// bearer writes to the API server with a token, and nothing else.
type bearer struct {
	server, token string
	http          http.Client
}

func newBearer(t *testing.T, token string) *bearer {
	t.Helper()
	view := func(field string) string {
		return kubectl(t, "config", "view", "--minify", "--raw", "-o", "jsonpath={.clusters[0].cluster."+field+"}")
	}
	ca, err := base64.StdEncoding.DecodeString(view("certificate-authority-data"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatalf("the kubeconfig's certificate authority: %v", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &bearer{server: view("server"), token: token, http: http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// patch tries a change without making it, and gives the API server's answer.
func (b *bearer) patch(t *testing.T, path, change string) (status int, body string) {
	t.Helper()
	return b.change(t, path+"?dryRun=All", change)
}

// change makes a change, and gives the API server's answer.
func (b *bearer) change(t *testing.T, path, change string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, b.server+path, strings.NewReader(change))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/merge-patch+json")
	resp, err := b.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// TestAgentToken writes with the token of one node's agent: to its own node's
// objects it may, to another node's it may not, nor to anything of a pod.
func TestAgentToken(t *testing.T) {
	agent, err := cluster.Agent(t.Context(), lab.Worker)
	if err != nil {
		t.Fatal(err)
	}
	b := newBearer(t, strings.TrimSpace(kubectl(t, "create", "token", "signet", "-n", lab.SignetNamespace,
		"--bound-object-kind", "Pod", "--bound-object-name", agent, "--duration", "10m")))
	own, other := cluster.Nodes[lab.Worker].Name, cluster.Nodes[lab.Worker2].Name
	for _, kind := range []struct{ name, path, suffix, change string }{
		{"tunnel", "/apis/signet-cni.io/v1alpha1/tunnels/", "", `{"spec":{"endpoint":"172.18.255.200:51872"}}`},
		{"node", "/api/v1/nodes/", "/status", `{"status":{"phase":"Running"}}`},
	} {
		if status, body := b.patch(t, kind.path+own+kind.suffix, kind.change); status != http.StatusOK {
			t.Errorf("its own %s: %d %s", kind.name, status, body)
		}
		status, body := b.patch(t, kind.path+other+kind.suffix, kind.change)
		if status != http.StatusForbidden || !strings.Contains(body, "may not write") {
			t.Errorf("another node's %s: got %d %s, want a refusal", kind.name, status, body)
		}
	}
	path := "/api/v1/namespaces/" + lab.SignetNamespace + "/pods/" + agent
	if status, body := b.patch(t, path, `{"metadata":{"labels":{"a":"b"}}}`); status != http.StatusForbidden {
		t.Errorf("a pod: got %d %s, want a refusal", status, body)
	}
}
