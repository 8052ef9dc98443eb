package plugin

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestInstall(t *testing.T) {
	dir, image := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		filepath.Join(dir, "signet"):      "an older release",
		filepath.Join(dir, "portmap"):     "the node's own",
		filepath.Join(image, "portmap"):   "the image's",
		filepath.Join(image, "bandwidth"): "the image's",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--bin-dir", dir, filepath.Join(image, "portmap"), filepath.Join(image, "bandwidth")}
	if err := Install(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"signet": want, "portmap": []byte("the node's own"), "bandwidth": []byte("the image's")} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "signet")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestInstallFails(t *testing.T) {
	if err := Install([]string{"--bin-dir", filepath.Join(t.TempDir(), "none")}, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if err := Install([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
}
