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

// content is what a number in a Table stands for. The number is 0 as long as no
// row has it.
type content struct {
	digest digest
	number uint64
}

// shorten cuts a digest to the 64 bits that maps are keyed with. Tests cut it
// shorter to provoke collisions.
type shorten func(digest) uint64

func first64(d digest) uint64 { return binary.BigEndian.Uint64(d[:8]) }

// numbers are those of one kind of content.
type numbers struct {
	short  shorten
	least  uint64 // those below are reserved
	taken  map[uint64]bool
	salted bool // a number is not what short gives
}

func newNumbers(short shorten, least uint64) numbers {
	return numbers{short: short, least: least, taken: map[uint64]bool{}}
}

// assign gives every content a number of its own: its first 64 bits or, where
// these are reserved or taken, those of its hash with the first salt that helps.
// Contents are served in the order of their digests, so that the numbers do not
// depend on the order in which they were met. Beside others that are numbered
// already that cannot be had: assign reports false where a salt would be
// needed, or was.
func (n *numbers) assign(list []*content) bool {
	slices.SortFunc(list, func(a, b *content) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	first := len(n.taken) == 0
	if n.salted && !first && len(list) > 0 {
		return false
	}
	for _, c := range list {
		c.number = n.short(c.digest)
		for salt := 1; c.number < n.least || n.taken[c.number]; salt++ {
			if !first {
				return false
			}
			n.salted = true
			c.number = n.short(digestOf("salt", string(c.digest[:]), strconv.Itoa(salt)))
		}
		n.taken[c.number] = true
	}
	return true
}

// release takes the number of a content that no row has any more. It reports
// false if another content would have got that number.
func (n *numbers) release(c *content) bool {
	delete(n.taken, c.number)
	c.number = 0
	return !n.salted
}

// NameIDOf gives the number of a port name: the first 64 bits of a SHA-256,
// never 0. It is the same in every table, since the endpoints' named ports are
// numbered apart from it.
func NameIDOf(name string) NameID {
	d := digestOf("port name", name)
	return NameID(max(first64(d), 1))
}
