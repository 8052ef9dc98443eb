package archive_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/cli/archive"
)

// files reads an archive.
func files(t *testing.T, path string) map[string]string {
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
		found[header.Name] = string(data)
	}
}

func TestArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	a, err := archive.Create(path, "dump", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	a.Add("one.txt", []byte("1"))
	a.Miss("nodes/b/status.json", errors.New("no\nanswer"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	found := files(t, path)
	if found["dump/one.txt"] != "1" || !strings.Contains(found["dump/PARTIAL.txt"], "nodes/b/status.json: no answer\n") || len(found) != 2 {
		t.Errorf("%q", found)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := archive.Create(path, "dump", time.Unix(0, 0)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second archive of the same name: %v", err)
	}
}

func TestCredentialsStayOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.tar.gz")
	a, err := archive.Create(path, "dump", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzaWduZXQifQ.c2lnbmF0dXJl"
	a.Add("agent.log", []byte("before "+token+" between\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\nafter"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, path)["dump/agent.log"]; got != "before (removed) between\n(removed)\nafter" {
		t.Errorf("%q", got)
	}
}

func TestObjects(t *testing.T) {
	got, err := archive.Objects([]byte(`{"kind":"List","items":[
		{"kind":"Pod","metadata":{"name":"a","managedFields":[{"x":"gone"}],
		 "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"gone","kept":"yes"}},
		 "spec":{"containers":[{"name":"c","command":["run","gone"],"args":["gone"],
		  "env":[{"name":"PASSWORD","value":"gone"},{"name":"FROM","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}]}]}},
		{"kind":"Secret","data":{"password":"gone"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "gone") {
		t.Errorf("something stayed: %s", got)
	}
	for _, kept := range []string{`"name": "a"`, `"kept": "yes"`, "PASSWORD", "spec.nodeName"} {
		if !strings.Contains(string(got), kept) {
			t.Errorf("%s is gone: %s", kept, got)
		}
	}
	if _, err := archive.Objects([]byte("{")); err == nil {
		t.Error("half an object is taken")
	}
}
