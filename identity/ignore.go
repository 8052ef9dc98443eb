package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// defaultGlobs are the keys that controllers put on pods to tell them apart
// or to say where they run, and that no one means as a property of the pod.
var defaultGlobs = []string{
	"apps.kubernetes.io/pod-index",
	"batch.kubernetes.io/*",
	"controller-revision-hash",
	"controller-uid",
	"job-name",
	"pod-template-generation",
	"pod-template-hash",
	"statefulset.kubernetes.io/*",
	"topology.kubernetes.io/*",
}

// maxGlob is the longest glob accepted, in bytes: the longest label key.
const maxGlob = maxPrefix + 1 + maxName

// maxGlobs is how many globs one list may have: as many as an Identity object
// can say that it dropped.
const maxGlobs = 256

// Ignore says which pod label keys do not count towards an identity. It is
// immutable; the zero value ignores nothing.
type Ignore struct {
	globs   []string // sorted, unique
	counted []string // sorted, unique; each covered by a glob
}

// DefaultGlobs gives the globs of DefaultIgnore, for a configuration that
// adds to them.
func DefaultGlobs() []string { return slices.Clone(defaultGlobs) }

// DefaultIgnore ignores DefaultGlobs.
func DefaultIgnore() Ignore { return Ignore{globs: DefaultGlobs()} }

// NewIgnore makes an Ignore of globs over label keys. An asterisk stands for
// any run of characters, a slash included. Without globs nothing is ignored.
// The error names every glob that could not be part of any label key.
func NewIgnore(globs []string) (Ignore, error) {
	if len(globs) > maxGlobs {
		return Ignore{}, fmt.Errorf("%d ignored labels, more than %d", len(globs), maxGlobs)
	}
	var errs []error
	for n, glob := range globs {
		if err := checkGlob(glob); err != nil {
			errs = append(errs, fmt.Errorf("ignored label %d (%q): %w", n+1, glob, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Ignore{}, err
	}
	return Ignore{globs: sortedUnique(globs)}, nil
}

func checkGlob(glob string) error {
	if glob == "" {
		return errors.New("empty")
	}
	if len(glob) > maxGlob {
		return fmt.Errorf("%d bytes, more than the %d of the longest label key", len(glob), maxGlob)
	}
	if strings.Count(glob, "/") > 1 {
		return fmt.Errorf("more than one slash")
	}
	if prefix, name, ok := strings.Cut(glob, "/"); ok && (prefix == "" || name == "") {
		return fmt.Errorf("nothing on one side of the slash")
	}
	for _, r := range glob {
		if !isNameByte(r) && r != '/' && r != '*' {
			return fmt.Errorf("character %q: want letters, digits, '-', '_', '.', '/' and '*'", r)
		}
	}
	return nil
}

// Globs gives the globs, sorted.
func (i Ignore) Globs() []string { return slices.Clone(i.globs) }

// Counted gives the covered keys that count all the same, sorted.
func (i Ignore) Counted() []string { return slices.Clone(i.counted) }

// Counting gives the same Ignore, but with exactly those of keys counted that
// a glob covers: the keys that policies name (see policy.NamedKeys). Keys that
// no glob covers count anyway and are left out.
func (i Ignore) Counting(keys []string) Ignore {
	var counted []string
	for _, key := range keys {
		if coveredBy(i.globs, key) {
			counted = append(counted, key)
		}
	}
	return Ignore{globs: i.globs, counted: sortedUnique(counted)}
}

// Ignores reports whether a pod label with this key is left out of the Set.
func (i Ignore) Ignores(key string) bool {
	_, ok := i.ignoredBy(key)
	return ok
}

// ignoredBy gives the first glob, in sorted order, that takes key out.
func (i Ignore) ignoredBy(key string) (string, bool) {
	if _, counts := slices.BinarySearch(i.counted, key); counts {
		return "", false
	}
	for _, glob := range i.globs {
		if globCovers(glob, key) {
			return glob, true
		}
	}
	return "", false
}

func coveredBy(globs []string, key string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return globCovers(glob, key) })
}

// globCovers reports whether key matches glob, in which an asterisk stands for
// any run of bytes. It tries a literal match and goes back to the last
// asterisk when that fails: linear for globs with one asterisk.
func globCovers(glob, key string) bool {
	g, k, star, mark := 0, 0, -1, 0
	for k < len(key) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, k
			g++
		case g < len(glob) && glob[g] == key[k]:
			g, k = g+1, k+1
		case star >= 0:
			mark++
			g, k = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

func sortedUnique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
