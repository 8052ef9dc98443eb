package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImagesOfOneDirectoryShareItsLayer(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "hello"), []byte("hi"), 0o755); err != nil {
		t.Fatal(err)
	}
	specs, err := parse(strings.NewReader("a.test/one:1 " + root + " /hello\na.test/two:1 " + root + " /hello again\n"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "images.tar")
	if err := write(path, specs); err != nil {
		t.Fatal(err)
	}

	members := read(t, path)
	var manifests []manifest
	if err := json.Unmarshal(members["manifest.json"], &manifests); err != nil {
		t.Fatal(err)
	}
	if len(manifests) != 2 || manifests[0].Layers[0] != manifests[1].Layers[0] || len(members) != 4 {
		t.Fatalf("want two images, two configurations and one layer, got %v and %d members", manifests, len(members))
	}
	if got := string(members[manifests[1].Config]); !strings.Contains(got, `"Entrypoint":["/hello","again"]`) {
		t.Errorf("configuration of the second image: %s", got)
	}
}

func TestIncompleteLineIsRefused(t *testing.T) {
	if _, err := parse(strings.NewReader("a.test/one:1 /root\n")); err == nil {
		t.Error("a line without an entry point was accepted")
	}
}

func TestMissingDirectoryIsAnError(t *testing.T) {
	specs := []spec{{name: "a.test/one:1", root: "/does/not/exist", entryPoint: []string{"/x"}}}
	if err := write(filepath.Join(t.TempDir(), "images.tar"), specs); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory does not exist", err)
	}
}

func read(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	members := map[string][]byte{}
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		if members[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
