package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// MaxAttempts bounds the probe sequence of a set: numbers for attempts 0 to
// MaxAttempts-1 belong to it.
const MaxAttempts = 16

// narrow maps 32 bits of a hash to a candidate number. Tests make it lossy to
// provoke collisions.
type narrow func(uint32) ID

func whole(bits uint32) ID { return ID(bits) }

// Number gives the set's number for an attempt, from 0 to MaxAttempts-1:
// attempt 0 unless that number is taken by another set, then the next one. It
// is a function of the set's canonical form alone, and never reserved.
func Number(set Set, attempt int) ID {
	return number(set.Canonical(), attempt, whole)
}

// number hashes the canonical form, followed for later attempts by the attempt
// (32 bits, big-endian), and takes the first 32 bits of the hash. Where these
// are reserved it goes on to the next 32 bits, and at the end of the hash to
// the hash of the hash.
func number(canonical []byte, attempt int, fold narrow) ID {
	if attempt > 0 {
		canonical = binary.BigEndian.AppendUint32(canonical[:len(canonical):len(canonical)], uint32(attempt))
	}
	for sum := sha256.Sum256(canonical); ; sum = sha256.Sum256(sum[:]) {
		for word := 0; word < len(sum); word += 4 {
			if id := fold(binary.BigEndian.Uint32(sum[word:])); !id.Reserved() {
				return id
			}
		}
	}
}

// Verify reports whether id can stand for set: the set is well formed, and the
// number is in its probe sequence. An object that fails it was forged or edited
// by hand, and is not to be used for anything.
func Verify(id ID, set Set) error {
	_, err := verify(id, set, whole)
	return err
}

// verify gives the attempt at which set arrives at id.
func verify(id ID, set Set, fold narrow) (attempt int, err error) {
	if id.Reserved() {
		return 0, fmt.Errorf("identity %s is reserved", id)
	}
	if err := set.Validate(); err != nil {
		return 0, fmt.Errorf("identity %s: %w", id, err)
	}
	canonical := set.Canonical()
	for attempt := range MaxAttempts {
		if number(canonical, attempt, fold) == id {
			return attempt, nil
		}
	}
	return 0, fmt.Errorf("identity %s does not belong to its labels; they give %s", id, number(canonical, 0, fold))
}
