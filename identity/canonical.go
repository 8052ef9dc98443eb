package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// canonicalMagic opens every canonical form. Its number changes when the form
// does, and with it every identity.
const canonicalMagic = "signet identity 1\x00"

// Digest is the SHA-256 of a canonical form.
type Digest [sha256.Size]byte

// Canonical gives the one byte string that stands for the set:
//
//	magic    "signet identity 1", 0
//	string   Namespace
//	map      NamespaceLabels
//	map      PodLabels
//	list     Dropped
//	list     Counted
//
// A string is its length and its bytes; a map is its size and then key and
// value of each element in the order of the keys; a list is its length and its
// elements, sorted. All lengths are 32 bits, big-endian. No form is a prefix of
// another one, and different sets have different forms.
func (s Set) Canonical() []byte {
	out := make([]byte, 0, 512)
	out = append(out, canonicalMagic...)
	out = appendString(out, s.Namespace)
	out = appendMap(out, s.NamespaceLabels)
	out = appendMap(out, s.PodLabels)
	out = appendList(out, s.Dropped)
	return appendList(out, s.Counted)
}

// Digest gives the SHA-256 of the canonical form.
func (s Set) Digest() Digest { return sha256.Sum256(s.Canonical()) }

func appendString(out []byte, s string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
	return append(out, s...)
}

func appendMap(out []byte, labels map[string]string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(labels)))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		out = appendString(out, key)
		out = appendString(out, labels[key])
	}
	return out
}

func appendList(out []byte, list []string) []byte {
	list = sortedUnique(list)
	out = binary.BigEndian.AppendUint32(out, uint32(len(list)))
	for _, element := range list {
		out = appendString(out, element)
	}
	return out
}
