// Package archive writes what a bug report needs into one file, without what
// must not leave a cluster.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Archive is a tar.gz with one directory. It is safe for concurrent use.
type Archive struct {
	dir string
	now time.Time

	mu      sync.Mutex
	file    *os.File
	zip     *gzip.Writer
	tar     *tar.Writer
	failed  error
	missing []string
}

// Create makes a new file that only its owner can read. It does not overwrite
// one.
func Create(path, dir string, now time.Time) (*Archive, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	zip := gzip.NewWriter(file)
	return &Archive{dir: dir, now: now, file: file, zip: zip, tar: tar.NewWriter(zip)}, nil
}

// Add adds a file. What looks like a credential is taken out.
func (a *Archive) Add(name string, data []byte) {
	data = scrub(data)
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.tar.WriteHeader(&tar.Header{Name: a.dir + "/" + name, Mode: 0o600, Size: int64(len(data)), ModTime: a.now})
	if err == nil {
		_, err = a.tar.Write(data)
	}
	a.failed = errors.Join(a.failed, err)
}

// Miss notes that something is not in the archive, and why.
func (a *Archive) Miss(what string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing = append(a.missing, fmt.Sprintf("%s: %s", what, strings.ReplaceAll(err.Error(), "\n", " ")))
}

// Missing lists what was missed, in order.
func (a *Archive) Missing() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.missing))
}

// Close completes the file: with PARTIAL.txt if anything was missed.
func (a *Archive) Close() error {
	if missing := a.Missing(); len(missing) > 0 {
		a.Add("PARTIAL.txt", []byte("These parts are missing:\n"+strings.Join(missing, "\n")+"\n"))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.failed, a.tar.Close(), a.zip.Close(), a.file.Sync(), a.file.Close())
}
