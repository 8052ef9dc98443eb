//go:build e2e

package e2e

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/kube/trial"
	"github.com/signet-cni/signet/tests/e2e/lab"
)

// trials are the namespaces of connectivity tests that exist.
func trials(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "namespaces", "-l", trial.Label, "-o", "name")
}

// TestConnectivity tries all paths of the cluster, with a world of our own.
func TestConnectivity(t *testing.T) {
	host := newHost(t, "world", 2)
	if err := host.Serve(8889); err != nil {
		t.Fatal(err)
	}
	world := fmt.Sprintf("%s:8889", host.Addr)
	out, errs, code := signetFor(t, 4*time.Minute, "connectivity", "test", "--world", world)
	t.Logf("\n%s%s", errs, out)
	pairs := len(cluster.Nodes) * len(cluster.Nodes)
	if code != 0 || strings.Contains(out, "FAIL") || strings.Contains(out, "?") {
		t.Errorf("exit code %d", code)
	}
	wants(t, "connectivity test", out, "ENCRYPTED", "WORLD", "as they have to be")
	if rows := strings.Count(out, cluster.Nodes[0].Name); rows < 2*len(cluster.Nodes) {
		t.Errorf("%d lines name %s, want a line for each of %d pairs", rows, cluster.Nodes[0].Name, pairs)
	}
	if left := trials(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// TestConnectivityTellsWhatIsWrong has a world that is not there.
func TestConnectivityTellsWhatIsWrong(t *testing.T) {
	host := newHost(t, "world", 3) // serves nothing
	out, errs, code := signetFor(t, 4*time.Minute, "connectivity", "test", "-o", "json", "--world", fmt.Sprintf("%s:8890", host.Addr),
		"--node", cluster.Nodes[0].Name)
	var answer cli.Answer[cli.PathResult]
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	for _, result := range answer.Items {
		if result.OK != (result.Check != "world") {
			t.Errorf("%+v", result)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// TestConnectivityInterrupted leaves nothing behind, whenever it is stopped.
func TestConnectivityInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil && trials(t) == "" {
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Second)
		cancel()
	}()
	_, errs, code := signetIn(ctx, "connectivity", "test")
	if code != 1 || !strings.Contains(errs, "interrupted") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if left := trials(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// TestSysdump looks for all that must not be in the archive, and for what must.
func TestSysdump(t *testing.T) {
	const secret = "e2e-sysdump-password-3141592653"
	create(t, alone("sysdump"), server("sysdump", "dumped", lab.Worker))
	apply(t, fmt.Sprintf(secretManifest, prefix+"sysdump", secret, lab.Image))
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	out, errs, code := signet(t, "sysdump", "--file", path)
	if code != 0 || strings.TrimSpace(out) != path {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	found := unpack(t, path)
	for _, node := range cluster.Nodes {
		for _, part := range []string{"status.json", "facts.json", "policies.json", "flows.jsonl", "identities.json"} {
			if len(found["nodes/"+node.Name+"/"+part]) < 3 {
				t.Errorf("no %s of %s", part, node.Name)
			}
		}
		wants(t, "facts of "+node.Name, found["nodes/"+node.Name+"/facts.json"], "signet0", "table signet", "net/ipv4/ip_forward", "protocol 81")
	}
	wants(t, "tunnels", found["cluster/tunnels.json"], cluster.Nodes[0].Name, "publicKey")
	wants(t, "configuration", found["cluster/config.json"], "clusterCIDR")
	wants(t, "pods", found["cluster/pods.json"], "dumped", "holder", "PASSWORD")
	for what, text := range secrets(t, secret) {
		for name, content := range found {
			if strings.Contains(content, text) {
				t.Errorf("%s is in %s", what, name)
			}
		}
	}
}

const secretManifest = `
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: %[1]s}
stringData: {password: %[2]s}
---
apiVersion: v1
kind: Pod
metadata: {name: holder, namespace: %[1]s}
spec:
  containers:
  - {name: c, image: "%[3]s", command: [sh, -c, "sleep 3600 # %[2]s"], env: [{name: PASSWORD, value: %[2]s}]}
`

// secrets are texts that nobody may have: the nodes' private keys, all Secrets
// and what tokens begin with.
func secrets(t *testing.T, password string) map[string]string {
	t.Helper()
	all := map[string]string{"the password": password, "the encoded password": base64.StdEncoding.EncodeToString([]byte(password))}
	for n, node := range cluster.Nodes {
		out, err := cluster.OnNode(t.Context(), n, "cat", "/var/lib/signet/wireguard.key")
		key := strings.TrimSpace(out)
		raw, decodeErr := base64.StdEncoding.DecodeString(key)
		if err := errors.Join(err, decodeErr); err != nil || len(raw) != 32 {
			t.Fatalf("the key of %s: %d bytes, %v", node.Name, len(raw), err)
		}
		all["the key of "+node.Name] = key
		all["the key of "+node.Name+" in hexadecimal"] = hex.EncodeToString(raw)
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}
	}
	if err := json.Unmarshal([]byte(kubectl(t, "get", "secrets", "-A", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		for field, encoded := range s.Data {
			raw, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) < 12 { // "true", and names
				continue
			}
			if strings.Contains(field, "secret") || strings.Contains(field, "password") || strings.Contains(field, "key") {
				all["Secret "+s.Metadata.Name+"/"+field] = string(raw)
			}
		}
	}
	all["a private key"] = "PRIVATE KEY-----"
	all["a service account's token"] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256",`))
	return all
}

// unpack gives the files of an archive, without its directory.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		found[name] = string(data)
	}
}

// signetFor is signet with more time.
func signetFor(t *testing.T, most time.Duration, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	return signetIn(ctx, args...)
}

// signetIn runs the command on this machine, towards all nodes, until ctx ends.
func signetIn(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, errs strings.Builder
	if !strings.Contains(strings.Join(args, " "), "--kubeconfig") {
		args = append(args, "--context", cluster.Context)
	}
	code = cli.Run(ctx, args, cli.Env{
		Version: "e2e", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
		Connect: func(c agents.Config) (cli.Cluster, error) { return agents.Connect(c) },
	})
	return out.String(), errs.String(), code
}
