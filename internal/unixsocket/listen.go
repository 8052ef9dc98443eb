// Package unixsocket opens unix sockets that only root and the process's own
// user can reach, from the first instant.
package unixsocket

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Listen opens a unix socket. It is bound inside a private directory and then
// moved to path, so it has mode 0600 from the first instant at which anybody
// can reach it, and replaces what an earlier process left. Closing the
// listener leaves the file; a client that finds it dead can wait for the next
// process. Connections of other users than root and the process's own are
// closed at once.
func Listen(path string, log *slog.Logger) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	private, err := os.MkdirTemp(dir, ".sock") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := listenIn(private, path)
	err = errors.Join(err, os.RemoveAll(private))
	if err != nil {
		if l != nil {
			_ = l.Close() // the first error counts
		}
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &rootListener{UnixListener: l, path: path, log: log}, nil
}

func listenIn(private, path string) (*net.UnixListener, error) {
	tmp := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path))
}

// rootListener refuses other users, should the socket's mode ever let them in.
type rootListener struct {
	*net.UnixListener
	path string
	log  *slog.Logger
}

// Accept returns the next connection of root or of this process's own user.
func (l *rootListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && trusted(uid) {
			return conn, nil
		}
		l.log.Warn("refused a connection", "socket", l.path, "uid", uid, "err", err)
		_ = conn.Close() // nothing was exchanged
	}
}

func trusted(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid()
}

func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
