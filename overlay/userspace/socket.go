package userspace

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketDir is where wgctrl and wg(8) look for userspace devices.
const socketDir = "/var/run/wireguard"

// listen opens the UAPI socket of a device with mode 0600 in a directory with
// mode 0700, both from their first instant: who can write to it holds the
// tunnel. The caller owns the TUN device, so a socket that exists is left over
// from an earlier process.
func listen(name string) (net.Listener, error) {
	if err := privateDir(socketDir); err != nil {
		return nil, err
	}
	path := filepath.Join(socketDir, name+".sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	// The mode of a socket is set by nothing but the mask. It belongs to the
	// whole process, which does nothing else yet.
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open UAPI socket: %w", err)
	}
	return l, nil
}

// privateDir makes sure that dir is this user's and nobody else's.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create socket directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is no directory of user %d", dir, os.Geteuid())
	}
	if st.Mode&0o7777 == 0o700 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close %s to others: %w", dir, err)
	}
	return nil
}
