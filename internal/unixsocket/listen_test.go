package unixsocket_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-cni/signet/internal/unixsocket"
)

func TestListenIsPrivateAndReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "agent.sock")
	log := slog.New(slog.DiscardHandler)
	first, err := unixsocket.Listen(path, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := unixsocket.Listen(path, log) // over what the first left
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o600 {
		t.Errorf("mode %v, want a socket of 0600", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".sock*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	exchange(t, second, path)
}

func exchange(t *testing.T, l net.Listener, path string) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatalf("own user refused: %v", err)
	}
	_ = accepted.Close() // nothing to say
}

func TestListenRefusesFileAsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := unixsocket.Listen(filepath.Join(dir, "a.sock"), slog.New(slog.DiscardHandler)); err == nil {
		_ = l.Close()
		t.Fatal("listening below a file succeeded")
	}
}
