package datapath

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// A new identity comes into force without a new revision, on both sides.
func TestExtendPolicy(t *testing.T) {
	const idNew = identity.ID(2000)
	n := newNode(t)
	gain := &policy.Table{
		Identities: map[identity.ID]policy.Entry{idNew: {Class: policy.ClassID(idNew)}},
		Rules:      map[policy.RuleKey]policy.Ports{},
	}
	table := ingress(openTable(), idA, idFar)
	rules := table.Identities[idA].Ingress
	n.play(t, []step{{loads(table), ""}, {far(idFar, farOpens), "pod"}, {far(idNew, farOpens), "unknown-identity"}})
	gain.Rules[policy.RuleKey{RuleSet: rules, Class: policy.ClassID(idNew)}] = policy.Ports{Set: 1, Flags: policy.AllTraffic}
	before := n.Revision()
	must(t, n.ExtendPolicy(gain))
	if n.Revision() != before {
		t.Errorf("revision %d after %d", n.Revision(), before)
	}
	if err := n.ExtendPolicy(gain); err == nil {
		t.Error("an identity that is there was added")
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
		if err := newEmptyNode(t).ExtendPolicy(gain); err == nil {
			t.Error("extended a policy that is not loaded")
		}
	})
}
