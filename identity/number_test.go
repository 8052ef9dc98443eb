package identity

import (
	"fmt"
	"testing"
)

func testSet(n int) Set {
	return NewSet("ns", labels{"env": "test"}, labels{"app": fmt.Sprint("app-", n)}, DefaultIgnore())
}

// The number of a set is part of the protocol between nodes: it never changes.
func TestNumberGolden(t *testing.T) {
	set := NewSet("concert", nil, labels{"role": "vip"}, DefaultIgnore())
	for attempt, want := range []ID{3275802487, 2434464285, 501823275} {
		if got := Number(set, attempt); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

func TestNumberIsNeverReserved(t *testing.T) {
	mostlyReserved := func(bits uint32) ID { return ID(bits % 260) }
	seen := map[ID]bool{}
	for n := range 1000 {
		id := number(testSet(n).Canonical(), n%3, mostlyReserved)
		if id.Reserved() {
			t.Fatalf("set %d: reserved number %s", n, id)
		}
		seen[id] = true
	}
	if len(seen) != 4 {
		t.Errorf("numbers %v, want all of 256 to 259", seen)
	}
}

func TestNumberLeavesCanonicalAlone(t *testing.T) {
	canonical := make([]byte, 4, 64)
	number(canonical, 1, whole)
	if tail := canonical[:8]; tail[7] != 0 {
		t.Errorf("the caller's spare capacity was written to: %v", tail)
	}
}

func TestVerify(t *testing.T) {
	set, other := testSet(1), testSet(2)
	spoiled := testSet(1)
	spoiled.Namespace = "elsewhere"
	for _, c := range []struct {
		name string
		id   ID
		set  Set
		ok   bool
	}{
		{"first number", Number(set, 0), set, true},
		{"last number", Number(set, MaxAttempts-1), set, true},
		{"beyond the probe sequence", Number(set, MaxAttempts), set, false},
		{"wrong number", Number(set, 0) + 1, set, false},
		{"wrong labels", Number(set, 0), other, false},
		{"malformed set", Number(spoiled, 0), spoiled, false},
		{"reserved", World, set, false},
		{"unknown", Unknown, set, false},
	} {
		if err := Verify(c.id, c.set); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", c.name, err, c.ok)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want ID
		ok   bool
	}{
		{"0", 0, true},
		{"256", 256, true},
		{"4294967295", 4294967295, true},
		{"", 0, false},
		{"4294967296", 0, false},
		{"01", 0, false},
		{"+1", 0, false},
		{"-1", 0, false},
		{"0x1", 0, false},
	} {
		if got, err := Parse(c.text); got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %s, %v", c.text, got, err)
		}
	}
}
