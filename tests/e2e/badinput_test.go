//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// TestBadInput asks for what is not there: one line says so and what to do.
func TestBadInput(t *testing.T) {
	in, _ := concert(t, "bad")
	kubectl(t, "delete", "pod", "-n", in, "stranger", "--wait=true", "--grace-period=1")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown node":       {[]string{"status", "--node", "worker-9"}, 1, "the cluster has "},
		"unknown identity":   {[]string{"identity", "show", "4242"}, 1, "identity list"},
		"unknown pod":        {[]string{"policy", "why", "--from", in + "/nobody", "--to", in + "/vip", "--port", "80"}, 1, "endpoint list"},
		"a pod that is gone": {[]string{"policy", "why", "--from", in + "/stranger", "--to", in + "/vip", "--port", "80"}, 1, "endpoint list"},
		"its flows":          {[]string{"flows", "--pod", in + "/nobody", "--last", "5"}, 1, "endpoint list"},
		"unknown Service":    {[]string{"policy", "why", "--from", in + "/vip", "--to", "service/" + in + "/nothing", "--port", "80"}, 1, "no Service"},
		"unknown file":       {[]string{"policy", "preview", "-f", "/nonexistent.yaml"}, 1, "/nonexistent.yaml"},
		"unknown context":    {[]string{"status", "--kubeconfig", os.Getenv("HOME") + "/.kube/config", "--context", "nowhere"}, 1, "get-contexts"},
		"no Signet there":    {[]string{"status", "--signet-namespace", in}, 1, "kubectl apply -f deploy/signet.yaml"},
		"no Signet to test":  {[]string{"connectivity", "test", "--signet-namespace", in}, 1, "kubectl apply -f deploy/signet.yaml"},
		"no Signet to dump":  {[]string{"sysdump", "--signet-namespace", in}, 1, "kubectl apply -f deploy/signet.yaml"},
		"bad world":          {[]string{"connectivity", "test", "--world", "nowhere"}, 2, "HOST:PORT"},
		"bad verdict":        {[]string{"flows", "--verdict", "maybe"}, 2, "admitted"},
	} {
		out, errs, code := signetFor(t, time.Minute, c.args...)
		if code != c.code || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
	}
}

// TestStoppedAgent asks a cluster one of whose agents does not answer.
func TestStoppedAgent(t *testing.T) {
	node := cluster.Nodes[lab.Worker2].Name
	out, err := cluster.OnNode(t.Context(), lab.Worker2, "sh", "-c", findAgent)
	pids := strings.Fields(out)
	if err != nil || len(pids) != 1 {
		t.Fatalf("agents on %s: %q, %v", node, out, err)
	}
	signal := func(name string) {
		if _, err := cluster.OnNode(t.Context(), lab.Worker2, "kill", "-"+name, pids[0]); err != nil {
			t.Error(err)
		}
	}
	signal("STOP")
	defer kubectl(t, "wait", "pod", "-n", lab.SignetNamespace, "-l", "app.kubernetes.io/name=signet", "--for=condition=Ready", "--timeout=2m")
	defer signal("CONT")
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	for _, args := range [][]string{
		{"status"}, {"endpoint", "list"}, {"policy", "list"}, {"flows", "--last", "3"}, {"sysdump", "--file", path},
	} {
		out, errs, code := signetFor(t, 3*time.Minute, args...)
		if code != 1 || out == "" || !strings.Contains(errs, "partial result: ") || !strings.Contains(errs, node) || !strings.Contains(errs, "within ") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	wants(t, "sysdump", unpack(t, path)["PARTIAL.txt"], "nodes/"+node+"/status.json")
}

// TestExpiredCertificate comes with a client certificate of last year.
func TestExpiredCertificate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(expiredKubeconfig(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status"}, {"connectivity", "test"}, {"flows", "-f"}} {
		out, errs, code := signetFor(t, time.Minute, append(args, "--kubeconfig", path)...)
		if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "has expired on ") || !strings.Contains(errs, "new kubeconfig") {
			t.Errorf("%q: exit code %d: %s%s", args, code, out, errs)
		}
	}
}

// expiredKubeconfig is the cluster's own, with a certificate of its authority
// that has expired.
func expiredKubeconfig(t *testing.T) string {
	t.Helper()
	read := func(path string) *pem.Block {
		out, err := cluster.OnNode(t.Context(), lab.ControlPlane, "cat", "/etc/kubernetes/pki/"+path)
		block, _ := pem.Decode([]byte(out))
		if err != nil || block == nil {
			t.Fatalf("%s: %v", path, err)
		}
		return block
	}
	authority, err := x509.ParseCertificate(read("ca.crt").Bytes)
	if err != nil {
		t.Fatal(err)
	}
	authorityKey, err := x509.ParsePKCS1PrivateKey(read("ca.key").Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "late", Organization: []string{"system:masters"}},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, authority, &key.PublicKey, authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	encodedKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(kubectl(t, "config", "view", "--minify", "--raw", "-o", "json")), &config); err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	config["users"].([]any)[0].(map[string]any)["user"] = map[string]any{
		"client-certificate-data": encode("CERTIFICATE", certificate), "client-key-data": encode("EC PRIVATE KEY", encodedKey),
	}
	out, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
