package identity

import (
	"fmt"
	"strconv"
)

// ID is the numeric identity that a packet carries: 32 bits, derived from the
// sender's labels. Every value outside the reserved range stands for one Set.
type ID uint32

// Reserved identities. They never stand for labels, and Number never returns
// a number up to MaxReserved.
const (
	Unknown     ID = 0   // not known; fails closed everywhere
	Host        ID = 1   // the local node, its processes and hostNetwork pods
	RemoteNode  ID = 2   // another node of the cluster
	World       ID = 3   // an address outside the cluster
	Unmanaged   ID = 4   // a pod that Signet does not manage
	Health      ID = 5   // Signet's own health endpoint
	MaxReserved ID = 255 // upper end of the reserved range
)

var reservedNames = map[ID]string{
	Unknown: "unknown", Host: "host", RemoteNode: "remote-node",
	World: "world", Unmanaged: "unmanaged", Health: "health",
}

// Reserved reports whether id lies in the reserved range 0 to 255.
func (id ID) Reserved() bool { return id <= MaxReserved }

// String gives the decimal number, the form in which objects are named.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Name gives a reserved identity's name ("host", "world", …), and "" for
// every other number.
func (id ID) Name() string {
	if name, ok := reservedNames[id]; ok {
		return name
	}
	if id.Reserved() {
		return "reserved-" + id.String()
	}
	return ""
}

// Parse reads the decimal form of an identity. It refuses signs, leading
// zeroes and anything over 32 bits.
func Parse(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return Unknown, fmt.Errorf("identity %q: want a decimal number from 0 to 4294967295", s)
	}
	return ID(n), nil
}
