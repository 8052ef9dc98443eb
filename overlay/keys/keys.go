// Package keys makes, keeps and loads a node's WireGuard private key. The key
// never leaves the node; what it publishes is the public half.
package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// DefaultPath is where a node keeps its key.
const DefaultPath = "/var/lib/signet/wireguard.key"

const (
	fileMode = 0o600
	dirMode  = 0o700
	fileSize = 45 // base64 of 32 bytes, and a newline
)

// LoadOrCreate loads the key at path, or makes one if no file exists there;
// created tells which. A file that Load refuses is never overwritten: peers
// know the node by its key, so replacing it is the operator's decision.
func LoadOrCreate(path string) (key wgtypes.Key, created bool, err error) {
	key, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key, err = wgtypes.GeneratePrivateKey()
	if err != nil {
		return wgtypes.Key{}, false, err
	}
	err = store(path, key)
	if errors.Is(err, fs.ErrExist) { // another process was faster: its key counts
		key, err = Load(path)
		return key, false, err
	}
	if err != nil {
		return wgtypes.Key{}, false, fmt.Errorf("store a new key: %w", err)
	}
	return key, true, nil
}

// Load reads the key at path. The file must be a regular one with mode 0600,
// belong to this process's user and hold nothing but one private key in
// base64. The error of a missing file matches fs.ErrNotExist; any other says
// what to do.
func Load(path string) (wgtypes.Key, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return wgtypes.Key{}, refuse(path, "is a symbolic link")
	}
	if err != nil {
		return wgtypes.Key{}, fmt.Errorf("open key: %w", err)
	}
	defer f.Close()
	if err := checkFile(f); err != nil {
		return wgtypes.Key{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, fileSize+1))
	if err != nil {
		return wgtypes.Key{}, fmt.Errorf("read key: %w", err)
	}
	key, err := wgtypes.ParseKey(strings.TrimSuffix(string(text), "\n"))
	if err != nil || !clamped(key) {
		return wgtypes.Key{}, refuse(path, "holds no WireGuard private key")
	}
	return key, nil
}

// checkFile judges the opened file, not its name, so that nobody can swap it.
func checkFile(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat key: %w", err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return refuse(f.Name(), "is no regular file")
	case st.Mode&0o7777 != fileMode:
		return refuse(f.Name(), fmt.Sprintf("has mode %04o, so others may know the key, want 0600", st.Mode&0o7777))
	case int(st.Uid) != os.Geteuid():
		return refuse(f.Name(), fmt.Sprintf("belongs to user %d, want %d", st.Uid, os.Geteuid()))
	}
	return nil
}

// clamped reports whether key has the form of an X25519 scalar (RFC 7748
// section 5). The device clamps on its own, and would forever hold another key
// than the file.
func clamped(key wgtypes.Key) bool {
	return key[0]&7 == 0 && key[31]&0xc0 == 0x40
}

// store writes key to path, which must not exist. The file appears whole and
// with its final mode, and is on disk when store returns.
func store(path string, key wgtypes.Key) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	if err := checkDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".wireguard.key.*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	_, err = f.WriteString(key.String() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = unix.Renameat2(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, path, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: f.Name(), New: path, Err: err}
	}
	return syncDir(dir)
}

// checkDir refuses a directory in which someone else could replace the key.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("directory %s has mode %04o, so others may replace the key: set it to 0700", dir, info.Mode().Perm())
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func refuse(path, why string) error {
	return fmt.Errorf("key file %s %s: restore it, or remove it to give this node a new key", path, why)
}
