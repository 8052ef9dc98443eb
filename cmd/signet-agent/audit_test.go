package main

import (
	"testing"

	"github.com/signet-cni/signet/identity"
)

// Audit mode of a namespace marks its identities in the table, and goes when
// the annotation goes.
func TestAuditMode(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, kernel := newTestRules(t, c)
	expect := func(when string, want bool) {
		t.Helper()
		syncRules(t, r)
		if got := kernel.table.Identities[roleID("web")].Audit; got != want {
			t.Errorf("%s: audit %v, want %v", when, got, want)
		}
		if kernel.table.Identities[identity.World].Audit {
			t.Errorf("%s: the world is in audit mode", when)
		}
	}
	expect("at first", false)
	c.audit = audit{namespaces: []string{"other"}}
	expect("another namespace", false)
	c.audit = audit{namespaces: []string{"other", "shop"}}
	expect("its namespace", true)
	c.audit = audit{}
	expect("no longer", false)
	c.audit = audit{everywhere: true}
	expect("everywhere", true)
}
