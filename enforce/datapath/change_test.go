package datapath

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/policytest"
	"github.com/signet-cni/signet/identity"
)

// A new identity comes into force without a new revision, on both sides.
func TestNewIdentity(t *testing.T) {
	const idNew = identity.ID(2000)
	n := newNode(t)
	gain := &policy.Delta{Put: policy.Table{
		Identities: map[identity.ID]policy.Entry{idNew: {Class: policy.ClassID(idNew)}},
		Rules:      map[policy.RuleKey]policy.Ports{},
	}}
	table := ingress(openTable(), idA, idFar)
	rules := table.Identities[idA].Ingress
	n.play(t, []step{{loads(table), ""}, {far(idFar, farOpens), "pod"}, {far(idNew, farOpens), "unknown-identity"}})
	gain.Put.Rules[policy.RuleKey{RuleSet: rules, Class: policy.ClassID(idNew)}] = policy.Ports{Set: 1, Flags: policy.AllTraffic}
	before := n.Revision()
	must(t, n.ChangePolicy(gain))
	if n.Revision() != before {
		t.Errorf("revision %d after %d", n.Revision(), before)
	}
	n.play(t, []step{
		{far(idNew, farOpens), "pod"},
		{far(idOther, farOpens), "policy-ingress"},
		{serves(), ""}, // both sides settle
		{far(idNew, farOpens), "pod"},
		{loads(table), ""},
		{far(idNew, farOpens), "unknown-identity"},
	})
	t.Run("not loaded", func(t *testing.T) {
		if err := newEmptyNode(t).ChangePolicy(gain); err == nil {
			t.Error("changed a policy that is not loaded")
		}
	})
}

// Figures of the random sequences of changes.
const (
	changingClusters = 60
	changesEach      = 12
)

// Whatever changes, the kernel's maps hold on both sides what compiling all of
// it anew gives, and nothing else.
func TestChangePolicy(t *testing.T) {
	n := newNode(t)
	for seed := range uint64(changingClusters) {
		m := policytest.NewMoving(seed)
		result := m.Compile()
		_, err := n.SetPolicy(&result.Table)
		must(t, err)
		for range changesEach {
			delta, ok := result.Change(m.Step())
			if !ok {
				t.Fatalf("seed %d: refused", seed)
			}
			must(t, n.ChangePolicy(&delta))
			var kernel policyTables
			must(t, kernel.open(&n.objs))
			whole := m.Compile()
			if kernel.differs(toRows(&whole.Table)) {
				t.Fatalf("seed %d: the kernel's maps hold something else", seed)
			}
		}
	}
}

// deltaOf gives what leads from one table to another.
func deltaOf(from, to *policy.Table) *policy.Delta {
	return &policy.Delta{Put: missing(to, from), Gone: policy.Table{Rules: missing(from, to).Rules}}
}

// missing gives the entries and rule rows of t that other has not, or otherwise.
func missing(t, other *policy.Table) policy.Table {
	found := policy.Table{Identities: map[identity.ID]policy.Entry{}, Rules: map[policy.RuleKey]policy.Ports{}}
	for id, entry := range t.Identities {
		if other.Identities[id] != entry {
			found.Identities[id] = entry
		}
	}
	for key, row := range t.Rules {
		if other.Rules[key] != row {
			found.Rules[key] = row
		}
	}
	return found
}
