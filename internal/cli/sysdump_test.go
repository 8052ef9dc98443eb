package cli_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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

func TestSysdump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	got := run(t, concert(t).broken(), "sysdump", "--file", path, "--socket", noSocket)
	if got.code != 1 || got.stdout != path+"\n" || !strings.Contains(got.stderr, "partial result: ") {
		t.Errorf("%s", got)
	}
	found := unpack(t, path)
	for name, part := range map[string]string{
		"about.txt": "signet v0.1.0", "PARTIAL.txt": "cluster/lease.json: leases are forbidden",
		"cluster/networkpolicies.json": "/apis/networking.k8s.io/v1/networkpolicies", "nodes/worker-1/signet-a.agent.log": "log of signet-a",
		"cluster/config.json": "/namespaces/kube-system/configmaps/signet-config", "nodes/worker-1/status.json": `"worker-1"`,
		"nodes/worker-2/flows.jsonl": `"forwarded"`, "nodes/worker-2/facts.json": "Linux version",
	} {
		if !strings.Contains(found[name], part) {
			t.Errorf("%s: no %q in %q", name, part, found[name])
		}
	}
	if found["nodes/worker-3/status.json"] != "" || !strings.Contains(found["PARTIAL.txt"], "nodes/worker-3/status.json: the signet agent does not answer") ||
		!strings.Contains(found["PARTIAL.txt"], "nodes/worker-4/status.json: the node has no agent pod") {
		t.Errorf("nodes that do not answer: %s", found["PARTIAL.txt"])
	}
	for name, text := range found {
		if strings.Contains(text, "gone") || strings.HasPrefix(name, "nodes/elsewhere") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if again := run(t, concert(t), "sysdump", "--file", path, "--socket", noSocket); again.code != 1 || !strings.Contains(again.stderr, "--file") {
		t.Errorf("over an existing file: %s", again)
	}
}

func TestSysdumpOfThisNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	got := run(t, nil, "sysdump", "--file", path, "--local", "--socket", serve(t, workerOne()))
	found := unpack(t, path)
	if got.code != 0 || !strings.Contains(found["nodes/local/status.json"], "worker-1") || found["PARTIAL.txt"] != "" {
		t.Errorf("%s: %q", got, found["PARTIAL.txt"])
	}
}
