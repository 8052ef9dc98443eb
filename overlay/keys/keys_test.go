package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

func TestCreateThenLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet", "wireguard.key")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v", err)
	}
	key, created, err := LoadOrCreate(path)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	again, created, err := LoadOrCreate(path)
	if err != nil || created || again != key {
		t.Errorf("the second time: same key %v, created %v, %v", again == key, created, err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %s, %v, want %s", name, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestCreateTogether: whoever is faster, everybody gets the same key.
func TestCreateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wireguard.key")
	var wait sync.WaitGroup
	got := make([]wgtypes.Key, 16)
	for i := range got {
		wait.Go(func() {
			key, _, err := LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			got[i] = key
		})
	}
	wait.Wait()
	for _, key := range got {
		if key != got[0] {
			t.Fatal("two keys were given out")
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	good := key.String() + "\n"
	loose := key
	loose[0] |= 1
	for _, c := range []struct {
		name, content string
		mode          fs.FileMode
	}{
		{"readable by the group", good, 0o640},
		{"readable by all", good, 0o604},
		{"executable", good, 0o700},
		{"not writable", good, 0o400},
		{"empty", "", 0o600},
		{"cut off", good[:20], 0o600},
		{"two keys", good + good, 0o600},
		{"a blank before", " " + good, 0o600},
		{"a word behind", good + "x", 0o600},
		{"zeros", wgtypes.Key{}.String(), 0o600},
		{"no scalar", loose.String() + "\n", 0o600},
		{"binary", string(key[:]), 0o600},
		{"large", strings.Repeat("A", 1<<20), 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wireguard.key")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			refused(t, path)
			if now, err := os.ReadFile(path); err == nil && !bytes.Equal(now, []byte(c.content)) {
				t.Error("the file was overwritten")
			}
		})
	}
}

func refused(t *testing.T, path string) {
	t.Helper()
	_, created, err := LoadOrCreate(path)
	if err == nil || created {
		t.Fatalf("accepted: created %v, %v", created, err)
	}
	if !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "remove it to give this node a new key") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}

func TestLoadRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wireguard.key")
	if _, _, err := LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.key")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	refused(t, link)
	if err := os.Mkdir(filepath.Join(dir, "dir.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "dir.key"))
}

func TestCreateRefusesOpenDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOrCreate(filepath.Join(dir, "wireguard.key")); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("got %v", err)
	}
}

// TestReplace: the new key is there before the old one goes, whose bytes are
// wiped.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wireguard.key")
	if _, err := Replace(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	old, _, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(path) // what the disk had
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	key, err := Replace(path)
	if err != nil || key == old {
		t.Fatalf("same key %v, %v", key == old, err)
	}
	if loaded, err := Load(path); err != nil || loaded != key {
		t.Errorf("loaded the new key: %v, %v", loaded == key, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text := make([]byte, fileSize)
	if _, err := held.ReadAt(text, 0); err != nil || !bytes.Equal(text, make([]byte, fileSize)) {
		t.Errorf("the old file holds %q, %v", text, err)
	}
}

// TestTidy: what an agent left that died while it stored a key goes, and
// nothing else.
func TestTidy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wireguard.key")
	key, _, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(path), ".wireguard.key.123")
	if err := os.WriteFile(left, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Tidy(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	if again, err := Load(path); err != nil || again != key {
		t.Errorf("the key: %v", err)
	}
}
