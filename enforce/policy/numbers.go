package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
)

// digest is the SHA-256 of what a number in a Table stands for.
type digest [sha256.Size]byte

// digestOf hashes parts, each with its length, under a domain that keeps
// different kinds of content apart.
func digestOf(domain string, parts ...string) digest {
	h := sha256.New()
	var length [8]byte
	for _, part := range append([]string{domain}, parts...) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return digest(h.Sum(nil))
}

// shorten cuts a digest to the 64 bits that maps are keyed with. Tests cut it
// shorter to provoke collisions.
type shorten func(digest) uint64

func first64(d digest) uint64 { return binary.BigEndian.Uint64(d[:8]) }

// assignNumbers gives every digest a number of its own, from least on: its
// first 64 bits or, where these are reserved or taken, those of its hash with
// the first salt that helps. Digests are served in sorted order, so that the
// numbers do not depend on the order in which they were met.
func assignNumbers(digests []digest, least uint64, short shorten) map[digest]uint64 {
	slices.SortFunc(digests, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	numbers := make(map[digest]uint64, len(digests))
	taken := make(map[uint64]bool, len(digests))
	for _, d := range slices.Compact(digests) {
		number := short(d)
		for salt := 1; number < least || taken[number]; salt++ {
			number = short(digestOf("salt", string(d[:]), strconv.Itoa(salt)))
		}
		numbers[d], taken[number] = number, true
	}
	return numbers
}

// NameIDOf gives the number of a port name: the first 64 bits of a SHA-256,
// never 0. It is the same in every table, since the endpoints' named ports are
// numbered apart from it.
func NameIDOf(name string) NameID {
	d := digestOf("port name", name)
	return NameID(max(first64(d), 1))
}
