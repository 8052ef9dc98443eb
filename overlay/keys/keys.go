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
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// DefaultPath is where a node keeps its key.
const DefaultPath = "/var/lib/signet/wireguard.key"

// ErrNotWiped: the new key is in place, the old one's bytes may still be read
// from the disk.
var ErrNotWiped = errors.New("the old key could not be wiped")

const (
	fileMode  = 0o600
	dirMode   = 0o700
	temporary = ".wireguard.key.*"

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
	err = store(path, key, unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrExist) { // another process was faster: its key counts
		key, err = Load(path)
		return key, false, err
	}
	if err != nil {
		return wgtypes.Key{}, false, fmt.Errorf("store a new key: %w", err)
	}
	return key, true, nil
}

// Replace makes a new key and puts it in place of the one at path, which must
// exist. The new file appears whole, 0600 and on disk before the old one goes;
// the old one's bytes are overwritten then, or ErrNotWiped comes with the new key.
// A file system that never writes in place keeps them until it uses the space
// again.
func Replace(path string) (wgtypes.Key, error) {
	if _, err := Load(path); err != nil {
		return wgtypes.Key{}, err
	}
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return wgtypes.Key{}, err
	}
	old, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return wgtypes.Key{}, fmt.Errorf("open the old key: %w", err)
	}
	err = store(path, key, 0)
	if err != nil {
		return wgtypes.Key{}, errors.Join(fmt.Errorf("store a new key: %w", err), old.Close())
	}
	if err := wipe(old); err != nil {
		return key, fmt.Errorf("%w: %w", ErrNotWiped, err)
	}
	return key, nil
}

func wipe(f *os.File) error {
	_, err := f.WriteAt(make([]byte, fileSize), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// Tidy removes what an agent left that ended while it stored a key. No key may
// be stored at the same time.
func Tidy(path string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), temporary))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range left {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}

// Made is when the key at path was made: when its file was written.
func Made(path string) (time.Time, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("age of the key: %w", err)
	}
	return info.ModTime(), nil
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

// store writes key to path, with flags of renameat2(2). The file appears whole
// and with its final mode, and is on disk when store returns.
func store(path string, key wgtypes.Key, flags uint) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	if err := checkDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, temporary) // mode 0600
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
	if err = unix.Renameat2(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, path, flags); err != nil {
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
